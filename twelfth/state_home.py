"""The directory of a project in the operator's home, for what must survive the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def state_home(project: str) -> Path:
    """Return `$XDG_STATE_HOME/twelfth/PROJECT`, by default below `~/.local/state`; it may not exist.

    A relative XDG_STATE_HOME is ignored (https://specifications.freedesktop.org/basedir-spec/latest/).
    """
    return states_home() / project


def states_home() -> Path:
    """Return the directory that has one directory for each project."""
    declared = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (declared if declared.is_absolute() else Path.home() / ".local" / "state") / "twelfth"
