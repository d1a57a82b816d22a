"""Log lines without secrets: paths hold integration keys and the tokens of links in messages."""

import logging
import re

_SECRETS = re.compile(
    r"(?P<key>il1[a-z]{3}[2-9a-hjkmnp-z]{28})|(?<=/i/)(?P<token>[0-9a-f]{32}-\d+(-[0-9a-f]+)?~[^\s/\"']+)",
    re.IGNORECASE,
)


class RedactingFormatter(logging.Formatter):
    """Takes keys and tokens out of the finished line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return _SECRETS.sub("[removed]", super().format(record))
