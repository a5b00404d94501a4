"""List the admitted paths of a build context, in the same order on every machine."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twelfth.build_context.ignore import Ignore, Matches


def walk(context: Path, ignore: Ignore, *, as_buildkit: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path and the status of each file, link and directory that is admitted, a directory before its contents.

    BuildKit also takes excluded directories that contain an admitted path. Bytes of a path that are not UTF-8 are
    escaped. Paths that are deleted meanwhile are skipped. Raises `OSError` for a directory that cannot be read.
    """
    top = os.fsencode(context)
    ahead: list[tuple[str, Matches]] = [(name, ()) for name in _names(top)]
    parents: dict[str, os.stat_result] = {}
    while ahead:
        path, above = ahead.pop()
        is_ignored, matched = ignore.match(path, above)
        if is_ignored and not ignore.may_hold_exceptions(path, as_buildkit=as_buildkit):
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = os.lstat(full(top, path))
            if stat.S_ISDIR(status.st_mode):
                ahead += [(f"{path}/{name}", matched) for name in _names(full(top, path))]
            if not is_ignored:
                yield from ((parent, parents.pop(parent)) for parent in _above(path) if parent in parents)
                yield path, status
            elif as_buildkit and stat.S_ISDIR(status.st_mode):
                parents[path] = status


def _above(path: str) -> list[str]:
    """Return the parent directories of a path, the topmost first."""
    names = path.split("/")
    return ["/".join(names[:number]) for number in range(1, len(names))]


def full(top: bytes, path: str) -> bytes:
    """Return the location of a path of the context."""
    return os.path.join(top, path.encode("utf-8", "surrogateescape"))  # noqa: PTH118 - a Path has no bytes


def _names(directory: bytes) -> list[str]:
    """Return the names in a directory in reverse order, since the last one is popped first."""
    return [name.decode("utf-8", "surrogateescape") for name in sorted(os.listdir(directory), reverse=True)]  # noqa: PTH208
