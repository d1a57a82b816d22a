"""What `manage.py up` is made of; `ilert/supervisor.py` keeps it running."""


class UpError(Exception):
    """`up` cannot start; the message is a sentence that says what to do."""
