"""Files with owner and mode, and the archives in which a daemon's API passes them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600
"""Modes that let only root enter a directory and read a file."""


@dataclass(frozen=True)
class File:
    """A file: its content, owner and mode."""

    content: bytes
    user: int = 0
    group: int = 0
    mode: int = 0o444

    @property
    def digest(self) -> str:
        """The digest of content, owner and mode."""
        return hashlib.sha256(repr((self.content, self.user, self.group, self.mode)).encode()).hexdigest()


def pack(files: Mapping[str, File]) -> bytes:
    """Return an archive of files by path, and of their directories, which only root can enter."""
    stream = io.BytesIO()
    directories = {parent for path in files for parent in PurePosixPath(path).parents} - {PurePosixPath(".")}
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for directory in sorted(directories):
            entry = tarfile.TarInfo(f"{directory}/")
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, PRIVATE_DIRECTORY, int(time.time())
            archive.addfile(entry)
        for path, file in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, int(time.time())
            entry.uid, entry.gid = file.user, file.group
            archive.addfile(entry, io.BytesIO(file.content))
    return stream.getvalue()


def pack_link(path: str, target: str) -> bytes:
    """Return an archive of a symbolic link."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.mtime, entry.linkname = tarfile.SYMTYPE, 0o777, int(time.time()), target
        archive.addfile(entry)
    return stream.getvalue()


def unpack(archive: bytes) -> dict[str, File]:
    """Return the files of an archive by path, which starts with the name of the directory that was archived."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            if entry.isfile() and (content := tar.extractfile(entry)):
                files[entry.name] = File(content.read(), entry.uid, entry.gid, entry.mode & 0o7777)
    return files
