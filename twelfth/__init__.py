"""Run a service's admin processes from the identical release that serves its traffic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invoke.collection import Collection

    from twelfth.api import RunResult, run, run_job, up

__version__ = "0.3.0"
__all__ = ["RunResult", "project", "run", "run_job", "up"]


def project(file: str | Path) -> Collection:
    """Return the commands of a project for its `ns`; `file` is its `tasks.py` or `tasks/__init__.py`.

    It is an ordinary collection of Invoke's, to which a project adds its tasks (`ns.add_task`).
    """
    from twelfth.cli.program import collection
    from twelfth.cli.working_directory import as_entered

    directory = Path(file).absolute().parent
    while (directory / "__init__.py").is_file():
        directory = directory.parent
    return collection(as_entered(directory, os.environ))


def __getattr__(name: str) -> object:
    """Load the functions for tasks when they are used: `import twelfth` imports none of its other modules."""
    if name not in {"RunResult", "run", "run_job", "up"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from twelfth import api

    return getattr(api, name)
