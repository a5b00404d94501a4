"""Output of programs as a terminal would show it, harmless in HTML."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, strategies

from tests.cli.page.pages import HOSTILE
from twelfth.cli.page.text import LONGEST, escaped, output


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (b"a\nb\n", "a\nb"),
        (b"", ""),
        (b"\n\n", "\n"),
        (b"a\r\nb\r\n", "a\nb"),
        (b"\ta  b", "\ta  b"),
        (b"10%\r50%\r100%\n", "100%"),
        (b"<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        (b"\x1b[1;31mred\x1b[0m \x1b[38:2:1:2:3mrgb\x1b[m", "red rgb"),
        (b"\x1b[2K\x1b[1Ga\x1b(Bb\x1b=c\x1bMd", "abcd"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        (b"\x1b]0;no end\nnext", "\\x1b]0;no end\nnext"),
        (b"\x1b[31", "\\x1b[31"),
        (b"a\x00\x08\x7f", "a\\x00\\x08\\x7f"),
        ("\x9b31m\u202ea\u2066".encode(), "\\x9b31m\\u202ea\\u2066"),
        ("\u2028\U0001f468\u200d\U0001f373 é".encode(), "\\u2028\U0001f468\u200d\U0001f373 é"),
        (b"\xff\xc3", "\ufffd\ufffd"),
    ],
)
def test_output_is_shown_as_by_a_terminal(printed: bytes, shown: str) -> None:
    """Without colours; what a terminal would act on is removed or escaped."""
    assert shown == output(printed)


def test_long_line_is_cut() -> None:
    """With the number of characters that are missing."""
    assert f"{'x' * LONGEST}… (1,500 more characters)" == output(b"x" * (LONGEST + 1500))


@given(strategies.binary() | strategies.text().map(str.encode))
def test_no_output_acts(content: bytes) -> None:
    """Whatever it is: no tag, no control character, none that changes the direction of text."""
    shown = output(content)

    assert not re.search("[<>\"']", shown)
    assert not [text for text in shown if text not in "\n\t\u200c\u200d" and unicodedata.category(text) in {"Cc", "Cf"}]


def test_values_are_escaped_for_attributes() -> None:
    """On one line."""
    assert not re.search("[<>\"'\n\x1b\u202e]", escaped(f"a\n{HOSTILE}"))
