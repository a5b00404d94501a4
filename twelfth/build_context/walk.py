"""List what of a build context is admitted, in one order on every machine."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twelfth.build_context.ignore import Ignore, Matches


def walk(context: Path, ignore: Ignore) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path and the status of each file, link and directory that is admitted, a directory before its contents.

    A path is text in which bytes that are not UTF-8 are escaped. What disappears meanwhile is left out. Raises
    `OSError` for a directory that cannot be read.
    """
    top = os.fsencode(context)
    ahead: list[tuple[str, Matches]] = [(name, ()) for name in _names(top)]
    while ahead:
        path, above = ahead.pop()
        is_ignored, matched = ignore.match(path, above)
        if is_ignored and not ignore.may_hold_exceptions(path):
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = os.lstat(full(top, path))
            if stat.S_ISDIR(status.st_mode):
                ahead += [(f"{path}/{name}", matched) for name in _names(full(top, path))]
            if not is_ignored:
                yield path, status


def full(top: bytes, path: str) -> bytes:
    """Return where a path of the context is."""
    return os.path.join(top, path.encode("utf-8", "surrogateescape"))  # noqa: PTH118 - a Path has no bytes


def _names(directory: bytes) -> list[str]:
    """Return the names in a directory, the first one last, where it is taken from."""
    return [name.decode("utf-8", "surrogateescape") for name in sorted(os.listdir(directory), reverse=True)]  # noqa: PTH208
