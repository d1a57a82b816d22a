"""Markdown of strangers made into HTML that can do no harm: what tools and people write in details and comments."""

import re

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

# More is read by nobody on a page, and some texts take their time.
MAX_LENGTH = 10_000
# Pictures would tell their server who looks; raw HTML stays text.
_PARSER = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def render(text: str) -> SafeString:
    """Return Markdown as HTML. Headings begin below those of the page's sections."""
    cut = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
    tokens = _PARSER.parse(cut)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    html = nh3.clean(
        _PARSER.renderer.render(tokens, _PARSER.options, {}),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(html)  # noqa: S308  # nosec: cleaned in the line before


def escape(text: str) -> str:
    """Return `text` in one line as Markdown that shows it as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
