"""The outer layer of a backup: one gzip member (RFC 1952), and nothing before or after it.

Its ten bytes of header are always the same, so that no bit of them can change unseen; and a checksum guards the rest.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from admin.store.archive import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = bytes.fromhex("1f8b 08 00 00000000 04 03")
"""gzip, deflate, no flags, no time, fastest, Unix: what `gzip -1` writes from a pipe."""
BLOCK = 1 << 20
"""How many bytes are read, and unpacked, at once."""

_FOREIGN = {
    b"REDIS": "it is an RDB file, a snapshot of Redis itself",
    b"VALKEY": "it is an RDB file, a snapshot of Valkey itself",
    b"*": "it is Redis protocol that nobody compressed",
    b"\x1f\x8b": "gzip was used on it again, or it is no backup of twelfth",
}


class Packer:
    """Compresses what a backup says, quickly."""

    def __init__(self, stream: BinaryIO) -> None:
        """Take the stream that it writes to, and write the header."""
        self._stream = stream
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._checksum = self._plain = 0
        self.size = 0
        """How many bytes were written."""
        self._put(HEADER)

    def write(self, block: bytes) -> None:
        """Write a block, now or with a later one."""
        self._checksum = zlib.crc32(block, self._checksum)
        self._plain += len(block)
        self._put(self._deflate.compress(block))

    def close(self) -> None:
        """Write what is left, and the end of the gzip; the stream stays open."""
        self._put(self._deflate.flush() + struct.pack("<II", self._checksum, self._plain & 0xFFFFFFFF))
        self._stream.flush()

    def _put(self, packed: bytes) -> None:
        self.size += len(packed)
        self._stream.write(packed)


def unpacked(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the plain bytes in blocks of at most BLOCK; raises ArchiveError, if only after the last block."""
    packed = _beginning(stream)
    total, full = len(packed), True
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    while not inflate.eof:
        if not full:
            packed = stream.read(BLOCK)
            total += len(packed)
            if not packed:
                raise ArchiveError(f"it is cut off after {total:,} bytes; use another copy of the file")
        try:
            block = inflate.decompress(packed, BLOCK)
        except zlib.error as error:
            raise ArchiveError(f"it is damaged before byte {total:,} ({error}); use another copy of the file") from None
        packed, full = inflate.unconsumed_tail, len(block) == BLOCK
        yield block
    if inflate.unused_data or stream.read(1):
        raise ArchiveError("there is something behind its end; use another copy of the file")


def _beginning(stream: BinaryIO) -> bytes:
    """Return the first bytes, at least the header; raises ArchiveError where it is another."""
    begun = b""
    while len(begun) < len(HEADER) and (more := stream.read(BLOCK)):  # a pipe may give one byte at a time
        begun += more
    if begun.startswith(HEADER):
        return begun
    if not begun:
        raise ArchiveError("it is empty: the backup was not written; `invoke backup FILE` makes one")
    if HEADER.startswith(begun):
        raise ArchiveError(f"it is cut off after {len(begun)} bytes; use another copy of the file")
    kinds = [kind for magic, kind in _FOREIGN.items() if begun.startswith(magic)]
    kind = (kinds or ["it is no gzip: encrypted, or no backup of twelfth at all"])[0]
    raise ArchiveError(f"{kind}; give the file as `invoke backup FILE` wrote it")
