"""`manage.py ticker`: the engine's heartbeat, any number of which may run."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from ilert.common.connections import keep_connections
from incidents.engine.bell import bell
from incidents.engine.ticker import Ticker


class Command(BaseCommand):
    help = "Look every second for due escalations and messages; ring the workers, or work if they do not."

    def handle(self, *args: Any, **options: Any) -> None:
        keep_connections()
        ticker = Ticker(bell)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ticker.stop())
        ticker.run()
