"""Reads a page as strictly as the browser's content security policy does."""

from html.parser import HTMLParser
from typing import Protocol


class _Response(Protocol):
    @property
    def content(self) -> bytes: ...


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in given:
            if name == "style" or name.startswith(("on", "hx-on")):
                self.inline.append(f"<{tag} {name}>")
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(f"<{tag}>")
        if str(given.get("href") or "").startswith("javascript:"):
            self.inline.append(f"<{tag} href=javascript:>")
        if given.get("id"):
            self.ids.append(str(given["id"]))

    handle_startendtag = handle_starttag


def read(response: _Response) -> _Page:
    page = _Page()
    page.feed(response.content.decode())
    return page


def assert_clean(response: _Response) -> None:
    """Nothing inline, and no id twice."""
    page = read(response)
    assert page.inline == []
    assert sorted(page.ids) == sorted(set(page.ids))
