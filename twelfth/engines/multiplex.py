"""Byte streams multiplexed over one connection, as the Engine API's attach does it.

A frame is one byte of stream, three of nothing, four of length (big-endian), then the bytes
(https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
The local engine speaks the same, and uses more numbers.
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
    """Yield (stream, bytes) from `read(at_most)` until it has no more; a last frame that is cut short is dropped.

    It reads ahead, so nothing else may read there.
    """
    for together in _arrivals(read):
        yield from together


def output(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield as `frames` does, reading ahead, but what came together of one stream at once: a log has a frame a line."""
    for together in _arrivals(read):
        for stream, neighbours in itertools.groupby(together, operator.itemgetter(0)):
            yield stream, b"".join(data for _, data in neighbours)


def _arrivals(read: Callable[[int], bytes]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield, for each piece that is read, the frames that are whole with it."""
    rest = b""
    while piece := read(PIECE):
        rest, place, together = rest + piece, 0, []
        while len(rest) - place >= HEADER.size:
            stream, length = HEADER.unpack_from(rest, place)
            end = place + HEADER.size + length
            if end > len(rest):
                break
            together.append((stream, rest[place + HEADER.size : end]))
            place = end
        rest = rest[place:]
        yield together


def raw(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield what a terminal prints, which comes without frames, as STDOUT."""
    while data := read(PIECE):
        yield STDOUT, data
