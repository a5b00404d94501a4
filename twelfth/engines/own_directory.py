"""The directory `.twelfth/` next to the Compose file, with everything that twelfth writes to a checkout."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_own_directory(directory: Path) -> None:
    """Create the directory, which git ignores; raises `OSError` if it cannot be created."""
    directory.mkdir(exist_ok=True)
    ignore = directory / ".gitignore"
    with contextlib.suppress(OSError):  # on a full disk the command continues without it
        if not ignore.exists():
            ignore.write_text("*\n", "utf-8")
