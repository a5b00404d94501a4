"""Read what a release is made of: the build context that `.dockerignore` admits, once, as bytes.

The digest, the image and the local copy are all made from these bytes, so an edit in the middle of a build cannot
give one release two contents.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.errors import MisuseError

if TYPE_CHECKING:
    from pathlib import Path

    from stack.model import Build

DIGITS = 12
"""Length of a release's name in hexadecimal digits, as Docker shortens its own ids."""


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


def files(context: Path) -> tuple[File, ...]:
    """Return the files of a context that `.dockerignore` admits (and the Dockerfile), by path.

    Raises `MisuseError` where the context has no Dockerfile or a file cannot be read.
    """
    from docker.utils.build import exclude_paths

    try:
        ignore = (context / ".dockerignore").read_text("utf-8") if (context / ".dockerignore").exists() else ""
        patterns = [line.strip() for line in ignore.splitlines() if line.strip() and not line.startswith("#")]
        paths = sorted(exclude_paths(str(context), patterns))
        return tuple(_file(context, path) for path in paths if (context / path).is_file())
    except OSError as error:
        raise MisuseError(f"cannot read {error.filename}: {error.strerror}; mend that, then: invoke up") from error


def digest(contents: tuple[File, ...], build: Build) -> str:
    """Return the name of the release: 12 hexadecimal digits of what its image is built from."""
    total = hashlib.sha256()
    for name, value in build.args:
        total.update(f"arg {name}={value}\n".encode())
    for file in contents:
        total.update(f"file {file.mode:o} {len(file.content)} {file.path}\n".encode(errors="surrogateescape"))
        total.update(file.content)
    return total.hexdigest()[:DIGITS]


def archive(contents: tuple[File, ...]) -> io.BytesIO:
    """Return the files as a tar archive in memory, the same bytes for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in contents:
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mode = len(file.content), file.mode
            tar.addfile(entry, io.BytesIO(file.content))
    packed.seek(0)
    return packed


def _file(context: Path, path: str) -> File:
    full = context / path
    return File(path.replace("\\", "/"), bool(full.stat().st_mode & 0o100), full.read_bytes())
