"""The outer layer of a backup: gzip. The SHA-256 in its trailer covers the contents.

Up to version 0.2 a second, empty member with a checksum of the compressed bytes follows, which every gzip skips.
"""

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from twelfth_redis.errors import FormatError

BLOCK = 1 << 20
"""The number of plain bytes that are unpacked at a time."""


class GzipWriter:
    """Compress a backup at the fastest level; `size` is the number of bytes written."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._gzip = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
        self.size = 0

    def write(self, block: bytes) -> None:
        """Write a block, now or with a later one."""
        self._put(self._gzip.compress(block))

    def close(self) -> None:
        """Write the end of the file; the stream stays open."""
        self._put(self._gzip.flush())
        self._stream.flush()

    def _put(self, packed: bytes) -> None:
        self.size += len(packed)
        self._stream.write(packed)


def unpacked(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the plain bytes in blocks of at most BLOCK; raises FormatError, if only after the last block."""
    file, is_empty = gzip.GzipFile(fileobj=stream), True
    try:
        while block := file.read(BLOCK):
            yield block
            is_empty = False
    except EOFError:
        raise FormatError("it is truncated. Try: use another copy of the file") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(f"it is damaged or not a gzip file: {error}. Try: use another copy of the file") from None
    if is_empty:
        raise FormatError("it is empty: the backup was not written. Try: invoke backup FILE")
