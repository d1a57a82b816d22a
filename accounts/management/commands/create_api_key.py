"""`manage.py create_api_key EMAIL`: a REST key for scripts that set an installation up."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.api_keys import services
from accounts.models import User
from ilert.common.clock import database_now


class Command(BaseCommand):
    help = "Make a REST key for somebody and print it. It is shown this once and stored hashed only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="where the key is used; without it the time it was made")

    def handle(self, *args: Any, **options: Any) -> None:
        now = database_now()
        user = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        if user is None:
            raise CommandError(f"Nobody who is active has the e-mail address {options['email']}.")
        name = options["name"] or f"Command line {now:%Y-%m-%d %H:%M:%S.%f}"
        try:
            _, text = services.create_api_key(user, name[:100], now)
        except services.NameTaken as error:
            raise CommandError(f"{user} has a key named {name} already. Give another name.") from error
        self.stdout.write(text)
