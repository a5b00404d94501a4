"""Lines, read from pieces of output that break anywhere."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ERROR = re.compile(r"\[?[\w.]*(error|exception|fatal|panic)\b.*", re.IGNORECASE)
_WORDS = re.compile(r".*[^\W\d_]{2}.*")


def line_blocks(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines that each piece completes; each ends with a newline, except a last one that does not.

    A line of many pieces is joined once: joining it again with each piece would take quadratic time.
    """
    rest: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        rest.append(first)
        if others:
            *complete, last = others
            yield [b"".join((*rest, b"\n")), *(line + b"\n" for line in complete)]
            rest = [last]
    if last_line := b"".join(rest):
        yield [last_line]


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines as they are completed; each ends with a newline, except a last one that does not."""
    return itertools.chain.from_iterable(line_blocks(pieces))


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines as they are completed; each ends with a newline, the last one too."""
    return (line if line.endswith(b"\n") else line + b"\n" for line in lines(pieces))


def telling(found: Sequence[str]) -> str:
    """Return the last line that begins as an error does, else the last that has a word, "" where none has.

    So what comes after an error, such as where to read about it, is not taken for why a program failed.
    """
    for pattern in (_ERROR, _WORDS):
        if matching := [line for line in found if pattern.fullmatch(line)]:
            return matching[-1].strip()
    return ""
