"""Text from outside as a terminal may print it: no character of it moves, colours or reorders anything."""

from __future__ import annotations

import re
import unicodedata

ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of Unicode: controls, of C1 too; formats, such as bidi controls and tags; surrogates; line separators."""

JOINERS = "\u200c\u200d"
"""Formats that scripts and emoji are written with."""

LAYOUT = "\n\t"
"""Controls that lay out text of several lines."""

_UNUSUAL = re.compile("[^ -~]")


def printable(text: str, keep: str = "") -> str:
    """Return the text with each character that acts on a terminal spelled out, but for those to `keep`."""

    def escaped(match: re.Match[str]) -> str:
        character = match[0]
        acts = unicodedata.category(character) in ESCAPED and character not in JOINERS + keep
        return repr(character)[1:-1] if acts else character

    return _UNUSUAL.sub(escaped, text)
