"""Run a service's admin processes from the identical release that serves its traffic."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invoke.collection import Collection

__version__ = "0.3.0"


def project(file: str | Path) -> Collection:
    """Return the commands of the project whose `tasks.py` this file is, for its `ns`.

    It is an ordinary collection of Invoke's, to which a project adds its own tasks (`ns.add_task`).
    """
    from twelfth.cli.program import collection
    from twelfth.cli.working_directory import as_entered

    return collection(as_entered(Path(file).absolute().parent, os.environ))
