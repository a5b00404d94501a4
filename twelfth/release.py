"""Read what a release is made of: the build context that `.dockerignore` admits, once, as bytes.

The digest, the image and the local copy are all made from these bytes, so an edit in the middle of a build cannot
give one release two contents.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from twelfth.model.stack import Build

DIGITS = 12
"""Length of a release's name in hexadecimal digits, as Docker shortens its own ids."""


def is_release(name: str) -> bool:
    """Return whether a text is the name of a release."""
    return len(name) == DIGITS and not set(name) - set("0123456789abcdef")


@dataclass(frozen=True)
class File:
    """One file of a release: its path within the context, whether it is a program, its bytes."""

    path: str
    executable: bool
    content: bytes

    @property
    def mode(self) -> int:
        """Return the permission bits that it has in every release, whatever the operator's umask was."""
        return 0o755 if self.executable else 0o644


@dataclass(frozen=True)
class Link:
    """One symbolic link of a release: its path within the context, and where it leads, as it is written."""

    path: str
    target: str


Entry = File | Link

READ_BY_THE_BUILDER = frozenset({"Dockerfile", ".dockerignore"})
"""What may be a link to anywhere: it is read, not copied."""

OURS = "**/.twelfth"
"""What no release holds, whatever `.dockerignore` admits: our own state, which each command changes."""


def files(context: Path) -> tuple[Entry, ...]:
    """Return the files and symbolic links of a context that `.dockerignore` admits (and the Dockerfile), by path.

    As for Docker's builder a link stays a link, also one to a directory, and nothing is read through it.

    Raises `MisuseError` where the context has no Dockerfile or a file cannot be read.
    """
    from docker.utils.build import exclude_paths

    try:
        ignore = (context / ".dockerignore").read_text("utf-8") if (context / ".dockerignore").exists() else ""
        patterns = [line.strip() for line in ignore.splitlines() if line.strip() and not line.startswith("#")]
        paths = sorted(exclude_paths(str(context), [*patterns, OURS]))
        return tuple(entry for path in paths if (entry := _entry(context, path)))
    except OSError as error:
        raise MisuseError(f"cannot read {error.filename}: {error.strerror}; mend that, then: invoke up") from error


def digest(contents: tuple[Entry, ...], build: Build) -> str:
    """Return the name of the release: 12 hexadecimal digits of what its image is built from."""
    total = hashlib.sha256()
    for name, value in build.args:
        total.update(f"arg {name}={value}\n".encode())
    for entry in contents:
        if isinstance(entry, Link):
            kind, content = "link", os.fsencode(entry.target)
        else:
            kind, content = f"file {entry.mode:o}", entry.content
        total.update(f"{kind} {len(content)} {entry.path}\n".encode(errors="surrogateescape"))
        total.update(content)
    return total.hexdigest()[:DIGITS]


def combined(digests: Iterable[str]) -> str:
    """Return the name of a release of several images from the digest of each: of a single one, its own."""
    distinct = tuple(dict.fromkeys(digests))
    return distinct[0] if len(distinct) == 1 else hashlib.sha256(" ".join(distinct).encode()).hexdigest()[:DIGITS]


def archive(contents: tuple[Entry, ...]) -> io.BytesIO:
    """Return the files and links as a tar archive in memory, the same bytes for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for entry in contents:
            header = tarfile.TarInfo(entry.path)
            if isinstance(entry, Link):
                header.type, header.linkname = tarfile.SYMTYPE, entry.target
                tar.addfile(header)
            else:
                header.size, header.mode = len(entry.content), entry.mode
                tar.addfile(header, io.BytesIO(entry.content))
    packed.seek(0)
    return packed


def _entry(context: Path, path: str) -> Entry | None:
    full, name = context / path, path.replace("\\", "/")
    if full.is_symlink() and name not in READ_BY_THE_BUILDER:
        return Link(name, str(full.readlink()))
    return File(name, bool(full.stat().st_mode & 0o100), full.read_bytes()) if full.is_file() else None
