"""The directory `.twelfth/` beside the Compose file: all that there is of ours on the operator's disk."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_own_directory(directory: Path) -> None:
    """Make the directory, with a file that has git ignore all of it; raises `OSError` where it cannot be made."""
    directory.mkdir(exist_ok=True)
    ignore = directory / ".gitignore"
    with contextlib.suppress(OSError):  # on a full disk the command goes on without
        if not ignore.exists():
            ignore.write_text("*\n", "utf-8")
