"""Byte streams multiplexed over one connection, as the Engine API's attach does it.

A frame is one byte of stream, three of nothing, four of length (big-endian), then the bytes
(https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
The local engine speaks the same, and uses more numbers.
"""

from __future__ import annotations

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
    """Yield (stream, bytes) from `read(at_most)` until it has no more; a last frame that is cut short is dropped."""
    while len(header := _exactly(read, HEADER.size)) == HEADER.size:
        stream, length = HEADER.unpack(header)
        data = _exactly(read, length)
        if len(data) < length:
            return
        yield stream, data


def output(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (stream, bytes) as `frames` does, but what came together of one stream at once: a log has a frame a line.

    It reads ahead, so nothing else may read there.
    """
    rest = b""
    while piece := read(PIECE):
        found, rest = _split(rest + piece)
        yield from found


def _split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the whole frames at the beginning, neighbours of one stream joined, and the bytes after them."""
    found: list[tuple[int, list[bytes]]] = []
    place = 0
    while len(data) - place >= HEADER.size:
        stream, length = HEADER.unpack_from(data, place)
        end = place + HEADER.size + length
        if end > len(data):
            break
        if not found or found[-1][0] != stream:
            found.append((stream, []))
        found[-1][1].append(data[place + HEADER.size : end])
        place = end
    return [(stream, b"".join(pieces)) for stream, pieces in found], data[place:]


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
