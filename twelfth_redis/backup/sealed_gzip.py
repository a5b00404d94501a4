"""The outer layer of a backup: one gzip member (RFC 1952), and a second, empty one that seals it.

A gzip has bits that mean nothing, and others that can change without changing what comes out. So that none does unseen,
the empty member carries the SHA-256 of every byte before it, in a field that gzip skips. A backup that was unpacked and
packed again by others has no seal: its gzip has one member, and the checksums inside tell whether it is right.
"""

import hashlib
import itertools
import zlib
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

from twelfth_redis.errors import FormatError

HEADER = bytes.fromhex("1f8b 08 00 00000000 04 03")
"""gzip, deflate, no flags, no time, fastest, Unix: what zlib writes, and `gzip -1` from a pipe."""
MAGIC = HEADER[:3]

BLOCK = 1 << 20
"""How many bytes are read, and unpacked, at once."""

_SEAL_HEAD = bytes.fromhex("1f8b 08 04 00000000 00 03 2400 5477 2000")
"""gzip, deflate, an extra field: 36 bytes, in which a subfield `Tw` has 32."""
_SEAL_TAIL = bytes.fromhex("0300 00000000 00000000")
"""Deflate of nothing, and its CRC-32 and length."""
SEAL = len(_SEAL_HEAD) + hashlib.sha256().digest_size + len(_SEAL_TAIL)

_FOREIGN = {
    b"REDIS": "it is an RDB file, a snapshot of Redis itself",
    b"VALKEY": "it is an RDB file, a snapshot of Valkey itself",
    b"*": "it is Redis protocol that nobody compressed",
    b"\x1f\x8b": "its header is damaged",
}


class SealedGzipWriter:
    """Compresses a backup, quickly; `size` is how many bytes were written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._gzip = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> None:
        """Write a block, now or with a later one."""
        self._put(self._gzip.compress(block))

    def close(self) -> None:
        """Write what is left, and the seal; the stream stays open."""
        self._put(self._gzip.flush())
        self._put(_seal(self._sha256.digest()))
        self._stream.flush()

    def _put(self, packed: bytes) -> None:
        self.size += len(packed)
        self._sha256.update(packed)
        self._stream.write(packed)


def _seal(sha256: bytes) -> bytes:
    return _SEAL_HEAD + sha256 + _SEAL_TAIL


def unpacked(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the plain bytes in blocks of at most BLOCK; raises FormatError, if only after the last block."""
    first = _first_bytes(stream)
    inflate, sha256 = zlib.decompressobj(16 + zlib.MAX_WBITS), hashlib.sha256()
    total, held, rest = 0, b"", b""
    for piece in itertools.chain([first], iter(lambda: stream.read(BLOCK), b"")):
        total += len(piece)
        known, held = (held + piece)[:-SEAL], (held + piece)[-SEAL:]  # the end may be the seal
        sha256.update(known)
        rest += yield from _inflated(inflate, known, total)
        if len(rest) > SEAL:
            break
    if inflate.eof and not rest and held == _seal(sha256.digest()):
        return
    rest += yield from _inflated(inflate, held, total)
    if rest or not inflate.eof:
        raise FormatError(f"{_why_not(rest, total, is_whole=inflate.eof)}; use another copy of the file")


def _inflated(inflate: Any, packed: bytes, total: int) -> Generator[bytes, None, bytes]:  # noqa: ANN401 - no name for it
    """Yield what comes out of a piece, and return what of it is behind the end."""
    if inflate.eof:
        return packed
    full = True
    while full or packed:
        try:
            block = inflate.decompress(packed, BLOCK)
        except zlib.error as error:
            raise FormatError(f"it is damaged before byte {total:,} ({error}); use another copy of the file") from None
        packed, full = inflate.unconsumed_tail, len(block) == BLOCK and not inflate.eof
        yield block
    return bytes(inflate.unused_data)


def _why_not(rest: bytes, total: int, *, is_whole: bool) -> str:
    """Return what is wrong with a file whose first member is whole or not, and is followed by `rest`."""
    if not is_whole or (len(rest) < SEAL and _SEAL_HEAD.startswith(rest[: len(_SEAL_HEAD)])):
        return f"it is cut off after {total:,} bytes"
    return "it is damaged" if len(rest) == SEAL else "there is something behind its end"


def _first_bytes(stream: BinaryIO) -> bytes:
    """Return the first bytes, at least the header; raises FormatError where it is another."""
    first = b""
    while len(first) < len(HEADER) and (more := stream.read(BLOCK)):  # a pipe may give one byte at a time
        first += more
    if len(first) >= len(HEADER) and first.startswith(MAGIC):
        return first
    if not first:
        raise FormatError("it is empty: the backup was not written; `invoke backup FILE` makes one")
    if first.startswith(MAGIC) or HEADER.startswith(first):
        raise FormatError(f"it is cut off after {len(first)} bytes; use another copy of the file")
    kinds = (kind for magic, kind in _FOREIGN.items() if first.startswith(magic))
    kind = next(kinds, "it is no gzip: encrypted, or no backup of twelfth at all")
    raise FormatError(f"{kind}; give the file as `invoke backup FILE` wrote it")
