"""The ASGI application."""

import os
import warnings

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")

# WhiteNoise hands Django the iterator of an open file; files are small, and reading one at once is what it means.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

django_application = get_asgi_application()

from incidents.watch.web import WithPulse  # noqa: E402 - needs Django to be set up

application = WithPulse(django_application)
