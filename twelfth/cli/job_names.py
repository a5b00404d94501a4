"""Find the names of a project's jobs, if possible without Compose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twelfth.compose.presence import INCLUDE, job_keys
from twelfth.hints import command_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from twelfth.model.stack import Stack
    from twelfth.stack.stack_file import Location


def job_names(directory: Path, current: Callable[[], Location | None], load: Callable[[], Stack]) -> Mapping[str, str]:
    """Return the names of the jobs, each with the line that describes it.

    `current` returns the location of the stack if it is valid; it does not change with files that are included. `load`
    reads the Compose file. Raises the errors of both.
    """
    if not (keys := job_keys(directory, os.environ)):
        return {}
    if INCLUDE not in keys and (location := current()):
        return location.jobs
    return {job.name: job.summary for job in load().jobs}


def disabled_by(directory: Path, command: str) -> str:
    """Return the first profile that enables the job of a command, "" if there is no such job, or if it has none."""
    from twelfth.compose.cli import read

    jobs = read(directory, {**os.environ, "COMPOSE_PROFILES": "*"}).model.get("jobs") or {}
    profiles = (keys.get("profiles") for name, keys in jobs.items() if command_name(name) == command and keys)
    return next((names[0] for names in profiles if names), "")


def current_location(directory: Path) -> Location | None:
    """Return the only location of a stack of the directory that its Compose file certainly still names, or None."""
    from twelfth.stack.stack_file import certain, recall

    return certain(recall(directory), directory)
