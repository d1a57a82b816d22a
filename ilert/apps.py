from django.apps import AppConfig


class IlertConfig(AppConfig):
    name = "ilert"

    def ready(self) -> None:
        # Every process that rings the bell needs the application, not only the workers.
        from ilert import celery  # noqa: F401, PLC0415
