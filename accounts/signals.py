"""What happens to people that floors above want to know."""

from django.dispatch import Signal

email_proven = Signal()
"""`person` has used a link that was mailed to their address."""

email_moved = Signal()
"""`person` has another address, and what reached them at `old_email` is to reach them there."""
