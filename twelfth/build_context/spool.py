"""Keep bytes in an unnamed file, which the system removes when the process exits, even after kill -9."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import weakref
from typing import IO, TYPE_CHECKING

from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

    from twelfth.model.contents import Bytes

BUFFER = 1 << 20


class Spool:
    """Bytes that are written once and then read by any number of readers."""

    def __init__(self) -> None:
        """Create an empty file in the directory for temporary files; raises `EngineError` if that is not writable."""
        with _writing():
            self.file: IO[bytes] = tempfile.TemporaryFile(buffering=BUFFER)  # noqa: SIM115 - it lives as long as this
        self.size = 0
        weakref.finalize(self, _close, self.file)

    def write(self, data: bytes) -> None:
        """Append bytes; raises `EngineError` on a full disk."""
        with _writing():
            self.file.write(data)
        self.size += len(data)

    def finish(self) -> None:
        """Flush the buffer to the file; raises `EngineError` on a full disk."""
        with _writing():
            self.file.flush()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from an offset."""
        return os.pread(self.file.fileno(), size, offset)


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # on a full disk, unwritten bytes are left in the buffer
        file.close()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"cannot copy the build context to {tempfile.gettempdir()}: {error.strerror}. "
            "Try: TMPDIR=DIRECTORY invoke up"
        ) from error


class Reader(io.RawIOBase):
    """A file of spooled bytes followed by a tail; several readers can read one spool at the same time."""

    def __init__(self, spooled: Bytes, tail: bytes = b"") -> None:
        """Begin with the first byte."""
        self._spooled, self._tail, self._at = spooled, tail, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: HTTP clients seek to the end to find the size."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read from another place; return it."""
        size = self._spooled.size + len(self._tail)
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: size}[whence]
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read as much as exists and fits; return its size."""
        view = memoryview(buffer).cast("B")
        behind = self._at - self._spooled.size
        data = self._tail[behind : behind + len(view)] if behind >= 0 else self._read_spooled(min(len(view), -behind))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read_spooled(self, size: int) -> bytes:
        return self._spooled.read_at(self._at, size)
