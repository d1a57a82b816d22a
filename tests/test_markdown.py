"""Markdown of strangers: it reads well, and nothing in it can act."""

import re

import pytest

from ilert.common.markdown import MAX_LENGTH, escape, render


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**Disk** of `web_1`\nis full", "<p><strong>Disk</strong> of <code>web_1</code><br>\nis full</p>\n"),
        ("# Runbook", "<h3>Runbook</h3>\n"),
        ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n"),
        ("my_host_name * 2 < 5", "<p>my_host_name * 2 &lt; 5</p>\n"),
        (
            "[runbook](https://example.org/a?b=1&c)",
            '<p><a href="https://example.org/a?b=1&amp;c" rel="noopener noreferrer nofollow">runbook</a></p>\n',
        ),
    ],
)
def test_it_reads_well(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](JaVaScRiPt&colon;alert(1))",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "<javascript:alert(1)>",
        "![](https://evil.example/pixel.gif)",
        "[x]: javascript:alert(1)\n[x]",
        '[a](https://example.org" onmouseover="alert(1))',
        "<svg/onload=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<iframe src=https://evil.example></iframe>",
        "```html\n<script>alert(1)</script>\n```",
        "<style>*{display:none}</style>",
        "<form action=https://evil.example><input></form>",
    ],
)
def test_nothing_in_it_acts(hostile: str) -> None:
    html = render(hostile).lower()
    for tag in ("<script", "<img", "<svg", "<iframe", "<style", "<form", "<input"):
        assert tag not in html
    for target in ('href="javascript', 'href="data', 'src="'):
        assert target not in html
    assert not re.search(r"<[^>]*\son\w+=", html)


@pytest.mark.parametrize("text", ["*" * 20_000, "[" * 20_000, "> " * 9_000, "`" * 9_999, "a\n" * 9_000, "|-" * 9_000])
def test_no_text_takes_long(text: str) -> None:
    assert len(render(text)) < 20 * MAX_LENGTH


def test_escaped_text_shows_as_it_is() -> None:
    text = "# *not* [a](http://link) <b>_x_</b>\n| `y` ~"
    assert render(escape(text)) == "<p># *not* [a](http://link) &lt;b&gt;_x_&lt;/b&gt; | `y` ~</p>\n"
