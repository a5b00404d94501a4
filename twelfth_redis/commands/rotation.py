"""Delete old backups, except for the newest ones that verify."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z\.resp\.gz")
"""The default name of a backup. One that `restore` takes before it replaces the data has another, and is kept."""


def rotate(new: Path, keep: int, is_valid: Callable[[Path], bool]) -> list[Path]:
    """Delete the backups with default names next to a new one, except for the newest ones; return the deleted ones.

    With the new one, `keep` backups that are valid are kept, and invalid ones between them. So two processes can do
    this at the same time: each deletes only files that are older than `keep` valid ones.
    """
    others = [path for path in new.parent.iterdir() if NAME.fullmatch(path.name) and path != new]
    files = [path for path in sorted(others, reverse=True) if path.is_file() and not path.is_symlink()]
    deleted = outdated(files, keep - 1, is_valid)
    for path in deleted:
        path.unlink(missing_ok=True)
    return deleted


def outdated(files: Iterable[Path], keep: int, is_valid: Callable[[Path], bool]) -> list[Path]:
    """Return the files after the first `keep` valid ones; only files before those are verified, which takes long."""
    remaining = iter(files)
    while keep > 0 and (path := next(remaining, None)):
        keep -= is_valid(path)
    return list(remaining)
