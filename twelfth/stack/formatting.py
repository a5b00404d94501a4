"""Escape characters that would move, colour or reorder a terminal's output, in text from other programs."""

from __future__ import annotations

import re
import unicodedata

ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: controls, also of C1; formats, such as bidi controls and tags; surrogates; line separators."""

JOINERS = "\u200c\u200d"
"""Format characters that scripts and emoji need."""

LAYOUT = "\n\t"
"""Controls that lay out text of several lines."""

_UNUSUAL = re.compile("[^ -~]")


def printable(text: str, keep: str = "") -> str:
    """Return the text with each character that controls a terminal escaped, except for those in `keep`."""

    def escaped(match: re.Match[str]) -> str:
        character = match[0]
        acts = unicodedata.category(character) in ESCAPED and character not in JOINERS + keep
        return repr(character)[1:-1] if acts else character

    return _UNUSUAL.sub(escaped, text)
