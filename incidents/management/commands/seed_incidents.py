"""`manage.py seed_incidents`: what an installation has after a year, made up, to measure and to look at."""

from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from alertsources.models import AlertSource
from incidents.models import Incident
from incidents.seeding import cast, fill


class Command(BaseCommand):
    help = "Make up incidents with their events and timelines, people, policies and alert sources."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--incidents", type=int, default=10_000)
        parser.add_argument("--events", type=int, default=50_000, help="of all incidents together")
        parser.add_argument("--open", type=int, default=1_000, help="how many of the incidents are open")
        parser.add_argument("--body-days", type=int, default=30, help="the newest days whose raw bodies are there")
        parser.add_argument(
            "--beside-real-data", action="store_true", help="do it although there are alert sources or incidents"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sizes = fill.Sizes(options["incidents"], options["events"], options["open"], options["body_days"])
        _check(sizes)
        if not options["beside_real_data"] and (AlertSource.objects.exists() or Incident.objects.exists()):
            raise CommandError(
                "There are alert sources or incidents already, and made-up ones cannot be told from them later. "
                "Use an empty installation, or say --beside-real-data."
            )
        started = monotonic()
        for count in fill.fill(cast.create(), sizes):
            self.stdout.write(f"{count} of {sizes.incidents} incidents after {monotonic() - started:.0f} s")
        self.stdout.write(f"Done: {sizes.incidents} incidents, {sizes.open} of them open, {sizes.events} events.")


def _check(sizes: fill.Sizes) -> None:
    if not 0 <= sizes.open <= sizes.incidents or sizes.incidents < 1:
        raise CommandError("At least one incident is needed, and no more can be open than there are.")
    if sizes.events < sizes.incidents:
        raise CommandError("Every incident has at least one event: --events must not be smaller than --incidents.")
