"""Join pieces of output, which can end within a line, to lines."""

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
    """Yield lines as they are completed, all of them with a newline at the end."""
    return (line if line.endswith(b"\n") else line + b"\n" for line in lines(pieces))


def telling(output_lines: Sequence[str]) -> str:
    """Return the line that most likely says why a program failed: the last that starts like an error.

    If none does, it is the last line with a word, or "". A line after the error often only says where to read more.
    """
    for pattern in (_ERROR, _WORDS):
        if matching := [line for line in output_lines if pattern.fullmatch(line)]:
            return matching[-1].strip()
    return ""
