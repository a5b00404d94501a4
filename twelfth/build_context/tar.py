"""Write a build context as the tar archive that Docker's client would send, and compute its digest."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from typing import TYPE_CHECKING

from twelfth.build_context.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)
"""How an archive ends."""

CAPABILITY = "security.capability"
"""The one extended attribute that Docker's client sends: a program's capabilities."""

PAX_ATTRIBUTE = "SCHILY.xattr."
"""Beginning of the key of an extended attribute in an archive."""

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


class ChangedError(Exception):
    """A file became shorter while it was read; the argument is its path."""


class Archive:
    """A tar archive that is written to a spool.

    All entries belong to root, as with `docker build`. The digest covers what every clone has in common: paths, bytes,
    the executable bit and link targets. It covers no other mode bits, times or empty directories.
    """

    def __init__(self) -> None:
        """Start an empty archive; raises `EngineError` if its spool cannot be written."""
        self.spool = Spool()
        self._total = hashlib.sha256()
        self._first: dict[tuple[int, int], tuple[str, bytes]] = {}

    def digest(self) -> str:
        """Return the digest of what was added."""
        return self._total.hexdigest()

    def add(self, path: str, full: bytes, status: os.stat_result) -> None:
        """Add a file, link, directory or device; sockets are skipped, as in an image.

        Raises `OSError` for what cannot be read or written, `ChangedError` for a file that becomes shorter.
        """
        if stat.S_ISREG(status.st_mode):
            self._add_file(path, full, status)
        elif stat.S_IFMT(status.st_mode) in _TYPES:
            header, what = _header(path, status), b""
            if stat.S_ISLNK(status.st_mode):
                what = os.readlink(full)  # noqa: PTH115 - a Path has no bytes
                header.linkname = what.decode("utf-8", "surrogateescape")
            elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                header.devmajor, header.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
                what = b"%d:%d" % (header.devmajor, header.devminor)
            self._write_header(header)
            if not stat.S_ISDIR(status.st_mode):
                self._count(header.type.decode(), path, what)

    def add_bytes(self, path: str, status: os.stat_result, content: bytes) -> None:
        """Add a file that was read already, with the mode and time of `status`."""
        header = _header(path, status)
        header.type, header.size = tarfile.REGTYPE, len(content)
        self._write_header(header)
        self.spool.write(_padded(content))
        self._count(_kind(status), path, hashlib.sha256(content).digest())

    def _add_file(self, path: str, full: bytes, status: os.stat_result) -> None:
        inode = (status.st_dev, status.st_ino)
        if inode in self._first:
            header = _header(path, status)
            header.type, (header.linkname, content) = tarfile.LNKTYPE, self._first[inode]
            self._write_header(header)
        else:
            content = self._copy(path, full)
            if status.st_nlink > 1:
                self._first[inode] = (path, content)
        self._count(_kind(status), path, content)

    def _copy(self, path: str, full: bytes) -> bytes:
        """Copy as many bytes as the file has when it is opened, and return their digest."""
        with _opened(full) as file:
            status = os.fstat(file)
            header = _header(path, status)
            header.size = status.st_size
            if capability := _capability(file):
                value = capability.decode("utf-8", "surrogateescape")
                header.pax_headers = {f"{PAX_ATTRIBUTE}{CAPABILITY}": value}
            self._write_header(header)
            content, left = hashlib.sha256(), header.size
            while left:
                if not (piece := os.read(file, min(left, PIECE))):
                    raise ChangedError(path)
                content.update(piece)
                self.spool.write(piece)
                left -= len(piece)
        self.spool.write(bytes(-header.size % tarfile.BLOCKSIZE))
        return content.digest()

    def _write_header(self, header: tarfile.TarInfo) -> None:
        self.spool.write(to_bytes(header))

    def _count(self, kind: str, path: str, content: bytes) -> None:
        name = path.encode("utf-8", "surrogateescape")
        self._total.update(b"%s %d %d\n%s%s" % (kind.encode(), len(name), len(content), name, content))


def entry(path: str, content: bytes) -> bytes:
    """Return an archive's entry for a file at its top."""
    header = tarfile.TarInfo(path)
    header.size, header.mode = len(content), 0o644
    return to_bytes(header) + _padded(content)


def to_bytes(header: tarfile.TarInfo) -> bytes:
    """Return the bytes of a header."""
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _header(path: str, status: os.stat_result) -> tarfile.TarInfo:
    header = tarfile.TarInfo(path)
    header.type = _TYPES.get(stat.S_IFMT(status.st_mode), tarfile.REGTYPE)
    header.mode, header.mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns // 10**9
    return header


def _kind(status: os.stat_result) -> str:
    return "program" if status.st_mode & stat.S_IXUSR else "file"


@contextlib.contextmanager
def _opened(full: bytes) -> Iterator[int]:
    """Open a file without following a link or blocking on a FIFO that has replaced it meanwhile."""
    file = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _capability(file: int) -> bytes:
    """Return a program's capabilities, in the form that is valid outside of a user namespace."""
    try:
        attribute = os.getxattr(file, CAPABILITY)
    except OSError:
        return b""
    is_of_namespace = attribute[3] == 3  # noqa: PLR2004 - VFS_CAP_REVISION_3 of linux/capability.h
    return attribute[:3] + b"\x02" + attribute[4:20] if is_of_namespace else attribute
