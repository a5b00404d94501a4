"""Read the build context that `.dockerignore` admits, once.

The digest, the image and the local copy are made from one copy of the files, so an edit during a build cannot put other
contents into a release than its name says.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.build_context.ignore import Ignore, read_patterns
from twelfth.build_context.spool import Reader
from twelfth.build_context.tar import END, Archive, ChangedError, entry
from twelfth.build_context.walk import full, walk
from twelfth.errors import MisuseError, NoReleaseError
from twelfth.model.contents import Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from twelfth.model.service import Build

OURS = "**/.twelfth"
"""The state of twelfth, which every command changes: never part of a release, whatever `.dockerignore` admits."""

IGNORE = ".dockerignore"

BROUGHT = ".twelfth.Dockerfile"
"""The name that a Dockerfile from outside of the context has for the builder; it is not in the image."""

UNUSUAL = (".git", ".venv", "venv", "node_modules", "__pycache__")
"""Directories that a `.dockerignore` usually excludes."""


def read(build: Build, has_buildkit: Callable[[], bool] = lambda: False) -> Contents:
    """Copy a build context once, into an unnamed file.

    `has_buildkit` is called if Docker's two builders read the `.dockerignore` differently. Raises `MisuseError` if the
    Dockerfile is missing or a file cannot be read, and `EngineError` if the copy cannot be written.
    """
    text, usual, specific = _dockerfile_text(build), _optional(build.context / IGNORE), _own_ignore(build)
    name = specific.name if specific else IGNORE
    patterns = read_patterns((_content(specific) if specific else usual) or b"", name)
    known = {dockerfile(build): text} | ({IGNORE: usual} if usual is not None else {})
    ignore = Ignore([*patterns, OURS], name)
    paths = walk(build.context, ignore, as_buildkit=ignore.has_exceptions and has_buildkit())
    archive, unusual, admitted = _archived(build.context, paths, known)
    additional = {name: _additional(name, Path(directory)) for name, directory in build.directories}
    return Contents(
        tar=archive.spool,
        digest=_combined(archive.digest(), {name: added.digest() for name, added in additional.items()}),
        dockerfile=text,
        is_dockerfile_admitted=dockerfile(build) in admitted,
        ignore=usual,
        is_ignore_admitted=IGNORE in admitted,
        has_own_ignore=specific is not None,
        unusual=unusual,
        additional={name: added.spool for name, added in additional.items()},
    )


def _additional(name: str, directory: Path) -> Archive:
    """Return an archive of an additional context as BuildKit reads it, which alone supports them."""
    if not directory.is_dir():
        why = f"build.additional_contexts.{name} is {directory}, which is no directory"
        raise MisuseError(f"{why}. Try: write the path of a directory, then invoke up")
    ignore = Ignore([*read_patterns(_optional(directory / IGNORE) or b"", IGNORE), OURS], IGNORE)
    archive, _, _ = _archived(directory, walk(directory, ignore, as_buildkit=ignore.has_exceptions), {})
    return archive


def _combined(digest: str, additional: Mapping[str, str]) -> str:
    # Without additional contexts a release keeps the name that it always had.
    return hashlib.sha256(json.dumps([digest, additional]).encode()).hexdigest() if additional else digest


def require_contents(build: Build) -> Contents:
    """Return the contents that gave the release its name.

    Raises `NoReleaseError` if the operator named the release: the files as they are now may make another one.
    """
    if build.contents is None:
        raise NoReleaseError("cannot build a named release: its source files are not recorded. Try: invoke releases")
    return build.contents


def dockerfile(build: Build) -> str:
    """Return the path of a Dockerfile in its context, or `BROUGHT` if it is not in there.

    A link is followed to another file of the context, but not out of it.
    """
    path = build.context / build.dockerfile
    places = (os.path.realpath(path), f"{os.path.realpath(path.parent)}/{path.name}")
    inside = [place for place in places if not build.inline and _is_in(build.context, place)]
    return os.path.relpath(inside[0], os.path.realpath(build.context)) if inside else BROUGHT


def _is_in(context: Path, place: str) -> bool:
    return Path(place).is_relative_to(os.path.realpath(context))


def for_daemon(contents: Contents, build: Build) -> tuple[Reader, str]:
    """Return a context as the daemon's classic builder reads it, and the path of the Dockerfile in it.

    That builder needs the Dockerfile in the context. It removes the file before the first step if the context's
    `.dockerignore` excludes it.
    """
    name = dockerfile(build)
    if name != BROUGHT and not contents.has_own_ignore:
        hidden = {name: contents.dockerfile} if not contents.is_dockerfile_admitted else {}
        if contents.ignore is not None and not contents.is_ignore_admitted:
            hidden[IGNORE] = contents.ignore
    elif contents.is_dockerfile_admitted:
        hidden = {IGNORE: _with_lines(contents, f"!{name}")} if contents.is_ignore_admitted else {}
    else:
        name = BROUGHT
        hidden = {BROUGHT: contents.dockerfile, IGNORE: _with_lines(contents, BROUGHT)}
    tail = b"".join(entry(path, content) for path, content in hidden.items())
    return Reader(contents.tar, tail + END), name


def _with_lines(contents: Contents, line: str) -> bytes:
    """Return a `.dockerignore` with one more line; whether it admits itself does not change."""
    before = [contents.ignore or b"", f"!{IGNORE}".encode()] if contents.is_ignore_admitted else [IGNORE.encode()]
    return b"\n".join([*before, line.encode(), b""])


def _dockerfile_text(build: Build) -> bytes:
    if build.inline:
        return build.inline.encode()
    path = build.context / build.dockerfile
    if not path.is_file():
        raise MisuseError(f"{path} is missing. Try: write it, or its path as build.dockerfile, then invoke up")
    return _content(path)


def _own_ignore(build: Build) -> Path | None:
    # BuildKit reads this file instead of `.dockerignore`.
    path = build.context / f"{build.dockerfile}.dockerignore"
    return path if not build.inline and path.is_file() else None


def _optional(path: Path) -> bytes | None:
    return _content(path) if path.is_file() else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _archived(
    context: Path, paths: Iterable[tuple[str, os.stat_result]], known: Mapping[str, bytes]
) -> tuple[Archive, Mapping[str, int], frozenset[str]]:
    """Return an archive of a context, the sizes of UNUSUAL directories, and which of the `known` files it contains."""
    archive, unusual, admitted = Archive(), dict[str, int](), set[str]()
    try:
        for path, status in paths:
            before = archive.spool.size
            _add(archive, context, path, status, known)
            admitted |= {path} & known.keys()
            if stat.S_ISREG(status.st_mode) and (names := {*UNUSUAL} & {*path.split("/")}):
                unusual[min(names)] = unusual.get(min(names), 0) + archive.spool.size - before
    except OSError as error:
        raise _unreadable(os.fsdecode(error.filename or context), error) from error
    archive.spool.finish()
    return archive, unusual, frozenset(admitted)


def _add(archive: Archive, context: Path, path: str, status: os.stat_result, known: Mapping[str, bytes]) -> None:
    """Add an admitted path. `known` files are not read again; a file that was deleted meanwhile is skipped."""
    place = full(os.fsencode(context), path)
    try:
        leads_out = stat.S_ISLNK(status.st_mode) and not _is_in(context, os.path.realpath(os.fsdecode(place)))
        if path in known and (leads_out or not stat.S_ISLNK(status.st_mode)):  # also a link out of the context
            archive.add_bytes(path, os.stat(place), known[path])  # noqa: PTH116 - a Path has no bytes
        else:
            archive.add(path, place, status)
    except FileNotFoundError:
        return
    except ChangedError as error:
        raise MisuseError(f"cannot read {context / path}: it was truncated while being read. Try: invoke up") from error
    except OSError as error:
        raise _unreadable(str(context / path), error) from error


def _unreadable(name: str, error: OSError) -> MisuseError:
    remedy = "fix that, or add it to .dockerignore, then invoke up"
    return MisuseError(f"cannot read {name}: {error.strerror}. Try: {remedy}")
