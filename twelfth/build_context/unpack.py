"""Unpack a build context into a directory, for BuildKit and for processes that start from files."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

from twelfth.build_context.spool import Reader
from twelfth.build_context.tar import CAPABILITY, END, PAX_ATTRIBUTE

if TYPE_CHECKING:
    from pathlib import Path

    from twelfth.model.contents import Bytes


def unpack(archive: Bytes, directory: Path) -> None:
    """Write what `COPY . .` would copy from an archive to an empty directory, owned by this user; raises `OSError`."""
    top, directories = os.fsencode(directory), list[tarfile.TarInfo]()
    with tarfile.open(
        fileobj=io.BufferedReader(Reader(archive, END)), mode="r:", encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for entry in tar:
            tar.members.clear()  # type: ignore[attr-defined] # else the archive keeps every header in memory
            full = _full(top, entry.name)
            os.makedirs(os.path.dirname(full), exist_ok=True)  # noqa: PTH103, PTH120 - a Path has no bytes
            _make(tar, entry, full, top)
            if entry.isdir():
                directories.append(entry)
            else:
                _finish(entry, full)
    for entry in reversed(directories):  # what is written into a directory changes its time
        _finish(entry, _full(top, entry.name))


def _full(top: bytes, path: str) -> bytes:
    return os.path.join(top, path.encode("utf-8", "surrogateescape"))  # noqa: PTH118


def _make(tar: tarfile.TarFile, entry: tarfile.TarInfo, full: bytes, top: bytes) -> None:
    if entry.isdir():
        os.makedirs(full, exist_ok=True)  # noqa: PTH103
    elif entry.issym():
        os.symlink(entry.linkname.encode("utf-8", "surrogateescape"), full)  # noqa: PTH211
    elif entry.islnk():
        os.link(_full(top, entry.linkname), full)
    elif entry.isfifo():
        os.mkfifo(full)
    elif entry.isdev():
        os.mknod(full, entry.mode | _device(entry), os.makedev(entry.devmajor, entry.devminor))
    elif source := tar.extractfile(entry):
        with open(full, "xb") as file:  # noqa: PTH123
            shutil.copyfileobj(source, file)


def _device(entry: tarfile.TarInfo) -> int:
    return 0o020000 if entry.ischr() else 0o060000


def _finish(entry: tarfile.TarInfo, full: bytes) -> None:
    """Set the mode, time and capabilities of a file; only root can set capabilities."""
    if not entry.issym():
        os.chmod(full, entry.mode)  # noqa: PTH101
    if capability := entry.pax_headers.get(f"{PAX_ATTRIBUTE}{CAPABILITY}"):
        with contextlib.suppress(PermissionError):
            os.setxattr(full, CAPABILITY, capability.encode("utf-8", "surrogateescape"))
    os.utime(full, (entry.mtime, entry.mtime), follow_symlinks=False)
