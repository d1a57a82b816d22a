"""How every form of the product is drawn."""

from django.forms.renderers import TemplatesSetting


class FieldRenderer(TemplatesSetting):
    """Draws `{{ form }}` and `{{ field.as_field_group }}` with the templates in `templates/components/`."""

    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
