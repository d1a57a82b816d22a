"""What set-up instructions need to know about a webhook URL."""

from django import template

from alertsources.setup import Address, address_of

register = template.Library()


@register.filter
def address(url: str) -> Address:
    """Return the parts of a webhook URL: `{% with at=url|address %}{{ at.host }}`."""
    return address_of(url)
