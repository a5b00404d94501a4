"""Byte streams multiplexed over one connection, as the Engine API's attach does it.

A frame is one byte of stream, three of nothing, four of length (big-endian), then the bytes
(https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
The local engine speaks the same, and uses more numbers on the way in.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STDIN, STDOUT, STDERR, RESIZE, SIGNAL, READY, EXIT = range(7)
HEADER = struct.Struct(">BxxxL")
PIECE = 1 << 16


def frame(stream: int, data: bytes) -> bytes:
    """Return the data as one frame."""
    return HEADER.pack(stream, len(data)) + data


def frames(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (stream, bytes) from `read(at_most)` until it has no more; a last frame that is cut short is dropped."""
    while len(header := _exactly(read, HEADER.size)) == HEADER.size:
        stream, length = HEADER.unpack(header)
        data = _exactly(read, length)
        if len(data) < length:
            return
        yield stream, data


def raw(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield what a terminal prints, which comes without frames, as STDOUT."""
    while data := read(PIECE):
        yield STDOUT, data


def _exactly(read: Callable[[int], bytes], length: int) -> bytes:
    pieces = []
    while length and (piece := read(min(length, PIECE))):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
