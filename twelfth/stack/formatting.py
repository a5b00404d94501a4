"""Words for people: tables, and text that a terminal can bear."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def printable(text: str) -> str:
    """Return the text with what would move or colour a terminal spelled out."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of words as lines, in columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
