"""All commands of a project, as one collection of Invoke's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.collection import Collection

from twelfth.cli import admin, data, releases, runs, stack
from twelfth.cli.command import install_parser_extensions

if TYPE_CHECKING:
    from pathlib import Path

ALWAYS = (
    *(stack.up, stack.scale, stack.down, stack.status, stack.config, stack.logs, stack.build),
    *(releases.releases, releases.rollback, releases.prune),
    *(runs.run, runs.history, runs.stop),
)
WITH_PROGRAM = (data.migrate, data.backup, data.verify, data.restore, admin.console)
"""Commands with options of their own, for programs of these names in `admin/`."""


def collection(directory: Path) -> Collection:
    """Return the commands of a project in a directory: the tool's, and one for each program of its `admin/`."""
    install_parser_extensions()
    programs = {path.stem: path for path in admin.programs(directory)}
    found = Collection(*ALWAYS, *(task for task in WITH_PROGRAM if task.name in programs))
    for path in programs.values():
        if path.stem.replace("_", "-") not in found.task_names:
            found.add_task(admin.program_command(path))
    found.configure({"engine": "auto", "project": {"directory": str(directory)}})
    return found
