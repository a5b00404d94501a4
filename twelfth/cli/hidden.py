"""Find jobs and programs that cannot be typed, since a command of twelfth or another job has the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.cli.admin import programs
from twelfth.errors import MisuseError
from twelfth.hints import command_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def hidden_programs(directory: Path) -> list[str]:
    """Return a warning for each program with the name of a command."""
    hidden = [program for program in programs(directory) if program.command in _commands()]
    return [
        f"admin/{program.name}.py is hidden by the command {program.command}. Rename it, or try: "
        f"invoke run -- python -m admin.{program.name}"
        for program in hidden
    ]


def hidden_jobs(names: Iterable[str]) -> list[str]:
    """Return an error for each job that is typed as a command, or as a job before it."""
    typed = {command: f"the command {command}" for command in _commands()}
    errors = []
    for name in names:
        namesake = typed.setdefault(command_name(name), f"the job {name}")
        if namesake != f"the job {name}":
            errors.append(f"the job {name} is hidden by {namesake}. Rename the job")
    return errors


def refuse_hidden_jobs(names: Iterable[str]) -> None:
    """Raise `MisuseError` if a job cannot be typed."""
    if errors := hidden_jobs(names):
        raise MisuseError("\n".join(errors))


def _commands() -> set[str]:
    from twelfth.cli.program import ALWAYS

    return {task.name for task in ALWAYS}
