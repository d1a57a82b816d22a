"""What the breakers of the providers do just now, in words for whoever is on duty. Pure: no clock, no database."""

from dataclasses import dataclass
from datetime import datetime

from notifications import channels
from notifications.models import Provider


@dataclass(frozen=True)
class Breaker:
    """One provider. `advice` is empty while it works."""

    name: str
    icon: str
    word: str
    state: str
    since: datetime | None
    until: datetime | None
    answer: str
    advice: str


_CLOSED = ("Works", "resolved")
_FAILING = ("Fails", "pending")
_OPEN = ("Left alone (open)", "failed")
_HALF_OPEN = ("One message tries (half-open)", "pending")
_MEND = {
    "email": "Check the mail server and EMAIL_URL.",
    "ntfy": "Check that the ntfy server can be reached from here.",
}
_MEND_OTHERS = "Check that the receiver can be reached from here."
_MEANWHILE = "Nothing is lost: messages wait here, and their people are told by their next contact method meanwhile."
_CLOSES = "It closes by itself with the first message that gets through."


def look(provider: Provider, now: datetime) -> Breaker:
    slug, _, where = provider.name.partition(":")
    channel = channels.ALL.get(slug)
    word, state = _stand(provider, now)
    return Breaker(
        name=f"{channel.name if channel else slug} {where}".strip(),
        icon=channel.icon if channel else "circle",
        word=word,
        state=state,
        since=provider.opened_at,
        until=provider.open_until if word == _OPEN[0] else None,
        answer=provider.answer if provider.failures else "",
        advice=_advice(slug, word),
    )


def _stand(provider: Provider, now: datetime) -> tuple[str, str]:
    if provider.open_until is None:
        return _FAILING if provider.failures else _CLOSED
    return _HALF_OPEN if provider.probing or provider.open_until <= now else _OPEN


def _advice(slug: str, word: str) -> str:
    if word == _CLOSED[0]:
        return ""
    mend = _MEND.get(slug, _MEND_OTHERS)
    return mend if word == _FAILING[0] else f"{mend} {_MEANWHILE} {_CLOSES}"
