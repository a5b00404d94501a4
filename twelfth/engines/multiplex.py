"""Byte streams multiplexed over one connection, as the Engine API's attach does it.

A frame is one byte with the number of the stream, three zero bytes, four bytes of length (big-endian), then the data
(https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
The local engine uses the same format with more streams.
"""

from __future__ import annotations

import itertools
import operator
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STDIN, STDOUT, STDERR, RESIZE, SIGNAL, READY, EXIT, TIME = range(8)
HEADER = struct.Struct(">BxxxL")
PIECE = 1 << 16


def frame(stream: int, data: bytes) -> bytes:
    """Return the data as one frame."""
    return HEADER.pack(stream, len(data)) + data


def frames(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (stream, bytes) from `read(at_most)` until the end; an incomplete last frame is dropped.

    It reads ahead, so nothing else may read from the same connection.
    """
    for arrival in _arrivals(read):
        yield from arrival


def output(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield as `frames` does, but join frames of one stream that arrive together: a log has one frame per line."""
    for arrival in _arrivals(read):
        for stream, neighbours in itertools.groupby(arrival, operator.itemgetter(0)):
            yield stream, b"".join(data for _, data in neighbours)


def _arrivals(read: Callable[[int], bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield, for each piece that is read, the frames that it completes."""
    rest = b""
    while piece := read(PIECE):
        rest, position, complete = rest + piece, 0, []
        while len(rest) - position >= HEADER.size:
            stream, length = HEADER.unpack_from(rest, position)
            end = position + HEADER.size + length
            if end > len(rest):
                break
            complete.append((stream, rest[position + HEADER.size : end]))
            position = end
        rest = rest[position:]
        yield complete


def raw(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield a terminal's output, which has no frames, as STDOUT."""
    while data := read(PIECE):
        yield STDOUT, data
