"""Small helpers for templates: times, and how a state looks."""

import datetime as dt
from dataclasses import dataclass

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@dataclass(frozen=True)
class Look:
    """How a state is shown: never by colour alone."""

    tone: str
    """One of the tones in components.css: pending, accepted, resolved, info, neutral, danger."""
    icon: str
    word: str


LOOKS = {
    # incidents
    "pending": Look("pending", "circle-alert", "Pending"),
    "accepted": Look("accepted", "user-check", "Accepted"),
    "resolved": Look("resolved", "circle-check", "Resolved"),
    # alert sources
    "no-event": Look("neutral", "circle-dashed", "No event yet"),
    "all-resolved": Look("resolved", "circle-check", "All resolved"),
    "disabled": Look("neutral", "ban", "Disabled"),
    "active": Look("resolved", "plug-zap", "Active"),
    "maintenance": Look("info", "wrench", "In maintenance"),
    "broken": Look("danger", "unplug", "Needs attention"),
    "over-rate": Look("warning", "gauge", "Over its rate"),
    # outcomes of events
    "opened": Look("pending", "circle-alert", "Opened"),
    "appended": Look("info", "layers", "Appended"),
    "ignored": Look("neutral", "eye-off", "Ignored"),
    "test": Look("info", "flask-conical", "Test"),
    "ambiguous": Look("accepted", "split", "Ambiguous"),
    "rejected": Look("danger", "circle-x", "Rejected"),
    # notifications
    "planned": Look("neutral", "clock", "Planned"),
    "sending": Look("info", "send", "Sending"),
    "sent": Look("info", "check", "Accepted by provider"),
    "delivered": Look("resolved", "circle-check", "Delivered"),
    "shown": Look("accepted", "eye", "Only shown here"),
    "answered": Look("resolved", "reply", "Answered"),
    "failed": Look("danger", "circle-x", "Failed"),
    "cancelled": Look("neutral", "ban", "Cancelled"),
    # priorities
    "high": Look("pending", "zap", "High"),
    "low": Look("neutral", "arrow-down", "Low"),
}


@register.simple_tag
def state_look(state: object) -> Look:
    """Return the look of a state given by its name, its choices member or its label."""
    name = str(getattr(state, "label", state) or "unknown")
    return LOOKS.get(name.lower(), Look("neutral", "circle-dashed", name))


@register.simple_tag
def when(moment: dt.datetime | None, empty: str = "never") -> str | SafeString:
    """Draw a moment relative to now, such as "5 min ago"; the browser keeps it true. ISO on hover."""
    if moment is None:
        return empty
    return _time(moment, relative(moment, timezone.now()), "relative")


@register.simple_tag
def clock(moment: dt.datetime | None, empty: str = "–") -> str | SafeString:
    """Draw a moment on the viewer's clock, zone named, such as "22 Nov 2026, 16:05 CET". ISO on hover."""
    if moment is None:
        return empty
    return _time(moment, f"{timezone.localtime(moment):%-d %b %Y, %H:%M %Z}", "clock")


@register.simple_tag
def second(moment: dt.datetime) -> SafeString:
    """Draw the time of day to the second, such as "16:05:09", for what follows each other fast. ISO on hover."""
    local = timezone.localtime(moment)
    iso = local.isoformat(timespec="milliseconds")
    return format_html('<time datetime="{0}" title="{0}">{1}</time>', iso, local.strftime("%H:%M:%S"))


def _time(moment: dt.datetime, text: str, kind: str) -> SafeString:
    iso = timezone.localtime(moment).isoformat(timespec="seconds")
    return format_html('<time datetime="{0}" title="{0}" data-time="{1}">{2}</time>', iso, kind, text)


# Same steps as in time.js: (seconds up to which it holds, seconds of the unit, the unit).
STEPS = ((90, 1, "s"), (90 * 60, 60, "min"), (36 * 3600, 3600, "h"), (float("inf"), 86400, "d"))


def relative(moment: dt.datetime, now: dt.datetime) -> str:
    """Say in short how far `moment` is from `now`."""
    seconds = (now - moment).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return "just now"
    size, unit = next((size, unit) for limit, size, unit in STEPS if distance < limit)
    text = f"{int(distance // size)} {unit}"
    return f"{text} ago" if seconds > 0 else f"in {text}"
