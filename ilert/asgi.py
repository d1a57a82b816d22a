"""The ASGI application: the lane for events, and Django for everything else."""

import os
import warnings

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")

# WhiteNoise hands Django the iterator of an open file; files are small, and reading one at once is what it means.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

django = get_asgi_application()

# What follows needs Django to be set up.
from incidents.intake.lane import Lane  # noqa: E402
from incidents.watch.web import WithPulse  # noqa: E402

application = Lane(WithPulse(django))
