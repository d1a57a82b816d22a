"""What happens to people that floors above want to know."""

from django.dispatch import Signal

email_proven = Signal()
"""`person` has used a link that was mailed to their address."""
