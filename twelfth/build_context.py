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

OURS = "**/.twelfth"
"""What no release holds, whatever `.dockerignore` admits: our own state, which each command changes."""

BROUGHT = ".twelfth.Dockerfile"
"""What a Dockerfile is called in a release whose context does not hold it."""

SELDOM_MEANT = (".git", ".venv", "venv", "node_modules", "__pycache__")
"""What a `.dockerignore` mostly leaves out."""


def files(build: Build) -> tuple[Entry, ...]:
    """Return the files and symbolic links of a context that `.dockerignore` admits, and the Dockerfile, by path.

    As for Docker's builder a link stays a link, also one to a directory, and nothing is read through it; and a
    `.dockerignore` with the name of the Dockerfile before it is taken instead of the usual one.

    Raises `MisuseError` where the context has no Dockerfile or a file cannot be read.
    """
    from docker.utils.build import exclude_paths

    name, context = dockerfile(build), build.context
    try:
        brought = () if name != BROUGHT else (File(BROUGHT, executable=False, content=_dockerfile(build)),)
        paths = sorted(exclude_paths(str(context), [*_ignored(build), OURS], dockerfile=name))
        if not brought and not (context / name).is_file():
            raise MisuseError(
                f"{context / name} is missing; write it, or its path as build.dockerfile, then: invoke up"
            )
        return (*(entry for path in paths if (entry := _entry(context, path, name))), *brought)
    except OSError as error:
        raise MisuseError(f"cannot read {error.filename}: {error.strerror}; fix that, then: invoke up") from error


def dockerfile(build: Build) -> str:
    """Return what the Dockerfile of a build is called in its release."""
    path = os.path.relpath(build.context / build.dockerfile, build.context)
    return BROUGHT if build.inline or path.startswith("..") else path


def _dockerfile(build: Build) -> bytes:
    return build.inline.encode() if build.inline else (build.context / build.dockerfile).read_bytes()


def _ignored(build: Build) -> list[str]:
    """Return the patterns of what a context does not admit."""
    own = build.context / f"{build.dockerfile}.dockerignore"
    path = own if own.exists() else build.context / ".dockerignore"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def seldom_meant(contents: Iterable[Entry]) -> dict[str, int]:
    """Return what of a release is mostly left out of one, by name, and how many bytes it has."""
    found: dict[str, int] = {}
    for entry in contents:
        if isinstance(entry, File) and (names := set(entry.path.split("/")) & {*SELDOM_MEANT}):
            found[min(names)] = found.get(min(names), 0) + len(entry.content)
    return found


def digest(contents: tuple[Entry, ...], build: Build) -> str:
    """Return the name of the release: 12 hexadecimal digits of what its image is built from."""
    total = hashlib.sha256()
    for name, value in build.args:
        total.update(f"arg {name}={value}\n".encode())
    for name, value in _asked(build).items():
        total.update(f"{name} {value}\n".encode())
    for entry in contents:
        if isinstance(entry, Link):
            kind, content = "link", os.fsencode(entry.target)
        else:
            kind, content = f"file {entry.mode:o}", entry.content
        total.update(f"{kind} {len(content)} {entry.path}\n".encode(errors="surrogateescape"))
        total.update(content)
    return total.hexdigest()[:DIGITS]


def _asked(build: Build) -> dict[str, str]:
    """Return what else decides what an image is; how it is built does not."""
    found = {"target": build.target, "dockerfile": dockerfile(build) if dockerfile(build) != "Dockerfile" else ""}
    found |= {name: value for name, value in build.options if name in {"labels", "platforms", "network", "extra_hosts"}}
    return {name: value for name, value in found.items() if value}


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


def _entry(context: Path, path: str, dockerfile: str) -> Entry | None:
    full, name = context / path, path.replace("\\", "/")
    if full.is_symlink() and name not in {dockerfile, ".dockerignore"}:
        return Link(name, str(full.readlink()))
    return File(name, bool(full.stat().st_mode & 0o100), full.read_bytes()) if full.is_file() else None
