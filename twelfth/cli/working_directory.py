"""Find the working directory as the shell names it, with its symlinks.

Compose names a project after its directory, which it takes from `PWD`, as Go's `os.Getwd` does
(https://pkg.go.dev/os#Getwd): in `current`, a symlink to `releases/5`, the project is named `current`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def working_directory(environment: Mapping[str, str]) -> Path:
    """Return the working directory from `PWD`, or without symlinks if `PWD` is missing or wrong."""
    named = Path(os.path.normpath(environment.get("PWD") or "."))
    return named if named.is_absolute() and _is_same(named, Path()) else Path.cwd()


def as_entered(directory: Path, environment: Mapping[str, str]) -> Path:
    """Return a directory under the name that `PWD` gives it, if the working directory is in it; else unchanged.

    A path that contains a symlink was named by the caller and is returned unchanged.
    """
    here = working_directory(environment)
    entered = (place for place in (here, *here.parents) if _is_same(place, directory))
    return next(entered, directory) if directory == directory.resolve() else directory


def _is_same(path: Path, directory: Path) -> bool:
    with suppress(OSError):
        return path.samefile(directory)
    return False
