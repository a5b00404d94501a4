"""The directory where a command was started, by the name that the shell has for it.

Compose names a project after its directory, and takes that from `PWD`, as Go's `os.Getwd` does
(https://pkg.go.dev/os#Getwd): in `current`, a symlink to `releases/5`, the project is called `current`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def working_directory(environment: Mapping[str, str]) -> Path:
    """Return the working directory as `PWD` has it, or without symlinks if `PWD` is missing or wrong."""
    named = Path(os.path.normpath(environment.get("PWD") or "."))
    return named if named.is_absolute() and _is_same(named, Path()) else Path.cwd()


def as_entered(directory: Path, environment: Mapping[str, str]) -> Path:
    """Return a directory by the name under which the shell has entered it or one below it, else by its own.

    One that has a symlink in its name was named by the caller, and keeps that.
    """
    here = working_directory(environment)
    entered = (place for place in (here, *here.parents) if _is_same(place, directory))
    return next(entered, directory) if directory == directory.resolve() else directory


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False
