"""Make text from outside safe in HTML, and readable."""

from __future__ import annotations

import html
import re

from twelfth.stack.formatting import printable

LONGEST = 1_000
"""Characters of a line that are shown."""

TERMINAL_SEQUENCE = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movements of the cursor
    r"|[]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC and other strings: titles, links
    r"|[ -/]*[0-Z\\`-~]"  # others of one character
    r")"
)
"""Sequences of ECMA-48 that a terminal does not show."""


def escaped(text: str) -> str:
    """Return text for HTML, also for a quoted attribute."""
    return html.escape(printable(text))


def output(content: bytes) -> str:
    """Return the output of a program for HTML as a terminal would show it, without colours."""
    text = TERMINAL_SEQUENCE.sub("", content.decode(errors="replace"))
    return "\n".join(html.escape(_shortened(_line(line))) for line in text.removesuffix("\n").split("\n"))


def _line(line: str) -> str:
    # A progress bar returns to the beginning of the line to draw itself again.
    return printable(line.rstrip("\r").rpartition("\r")[2], keep="\t")


def _shortened(line: str) -> str:
    rest = len(line) - LONGEST
    return line if rest <= 0 else f"{line[:LONGEST]}… ({rest:,} more characters)"
