"""Lines, read from pieces of output that break anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines as they are completed; each ends with a newline, but for a last one that does not."""
    rest = b""
    for piece in pieces:
        *complete, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in complete)
    if rest:
        yield rest


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines as they are completed; each ends with a newline, the last one too."""
    return (line if line.endswith(b"\n") else line + b"\n" for line in lines(pieces))
