"""Find jobs and programs that cannot be typed, since a command of twelfth has the same name."""

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
    """Return an error for each job with the name of a command."""
    hidden = {name: command_name(name) for name in names if command_name(name) in _commands()}
    return [f"the job {name} is hidden by the command {command}. Rename the job" for name, command in hidden.items()]


def refuse_hidden_jobs(names: Iterable[str]) -> None:
    """Raise `MisuseError` if a job has the name of a command."""
    if errors := hidden_jobs(names):
        raise MisuseError("\n".join(errors))


def _commands() -> set[str]:
    from twelfth.cli.program import ALWAYS

    return {task.name for task in ALWAYS}
