"""Releases as directories: read-only copies of the files that an image would contain, from which processes start."""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth import build_context
from twelfth.build_context.unpack import unpack
from twelfth.errors import MisuseError
from twelfth.model.snapshot import BuiltRelease

if TYPE_CHECKING:
    from twelfth.model.service import Build


def copy(build: Build, target: Path) -> None:
    """Copy a release to its directory, read-only; other processes may make the same copy at the same time.

    Raises `OSError` if the copy cannot be written, `MisuseError` for files that cannot be part of a release, and
    `NoReleaseError` for a release that was named, since its files are unknown.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        unpack(build_context.require_contents(build).tar, staged)
        _refuse_links_that_lead_out(staged)
        compileall.compile_dir(staged, quiet=2)
        _make_read_only(staged)
        _move(staged, target)
    finally:
        delete(staged)


def built(copy: Path) -> BuiltRelease:
    """Return a copied release as a value."""
    status = copy.stat()
    try:
        owner = copy.owner()
    except KeyError:
        owner = ""
    size = sum(path.lstat().st_size for path in copy.rglob("*") if not path.is_dir())
    return BuiltRelease(copy.name, datetime.fromtimestamp(status.st_ctime, UTC).isoformat(), owner, size)


REMOVED = ".removed-"
"""Prefix of the name of a copy that is being removed."""


def remove(copy: Path) -> None:
    """Delete a copy if it exists, and the remains of removals that were killed.

    It is renamed first, so that half of a copy is never mistaken for a release.
    """
    with contextlib.suppress(FileNotFoundError):
        copy.rename(copy.with_name(f"{REMOVED}{copy.name}-{os.getpid()}"))
    for remains in copy.parent.glob(f"{REMOVED}*"):
        with contextlib.suppress(FileNotFoundError):  # another process deletes it, too
            delete(remains)


def delete(top: Path) -> None:
    """Delete a directory, if it exists, with its contents, read-only or not."""
    if top.exists():
        for path in (top, *top.rglob("*/")):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(top)


def _refuse_links_that_lead_out(top: Path) -> None:
    """Raise `MisuseError` for a link to a file outside of the release, which can change without a new release."""
    for path in top.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(top)):
            name = path.relative_to(top)
            raise MisuseError(
                f"{name} is a symbolic link to {path.readlink()}, outside of the release; replace it with a copy, or "
                f"add {name} to .dockerignore, then: invoke up"
            )


def _make_read_only(top: Path) -> None:
    for path in (*top.rglob("*"), top):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)


def _move(staged: Path, target: Path) -> None:
    """Move a directory to its final name, unless another process has just created the same one there."""
    try:
        staged.rename(target)
    except OSError:
        if not target.is_dir():
            raise
