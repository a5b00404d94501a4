"""Print, below the help of a job's command, the help of its program: from the running release, if it is running."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.cli import help_script
from twelfth.cli.command import warn
from twelfth.cli.jobs import job_words
from twelfth.cli.target import Target
from twelfth.errors import TwelfthError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context


def print_program_help(c: Context, name: str, shown: str) -> None:
    """Print the help of a job's program, without what is `shown` of it already.

    Prints nothing if the program is not a Python module in this directory.
    """
    try:
        target = Target(c).for_job(name)
        program, module = _python_module(job_words(target))
    except TwelfthError:  # the start will report it
        return
    if not (source := _source(target.directory, module)):
        return
    if help_script.parses_arguments(source):
        print(f"The program, {program} -m {module}:\n", flush=True)
        if _run_help(target, program, module):
            return
    if rest := (ast.get_docstring(source) or "").removeprefix(shown).strip():
        print(f"{rest}\n")


def _python_module(words: Sequence[str]) -> tuple[str, str]:
    """Return the program and module of `python -m MODULE`, empty texts for any other command."""
    is_python = len(words) > 2 and words[1] == "-m" and Path(words[0]).name.startswith("python")  # noqa: PLR2004
    return (words[0], words[2]) if is_python else ("", "")


def _source(directory: Path, module: str) -> ast.Module | None:
    path = directory.joinpath(*module.split("."))
    try:
        return ast.parse((path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _run_help(target: Target, program: str, module: str) -> bool:
    """Print the help in a run that is not one of the job, and return whether that succeeded."""
    from twelfth.runs.request import new_request
    from twelfth.runs.start import start_attached

    settings: dict[str, Any] = {"purpose": "help", "is_admin_process": True, "must_be_recorded": False}
    job = target.required_job
    try:
        changes = job.changes if job.changes.keys else None
        request = new_request([program, "-", module], target.source, changes=changes, **settings)
        with Path(help_script.__file__).open("rb") as script:
            return start_attached(target.engine(), request, warn, (script.fileno(), 1)) == 0
    except TwelfthError:
        return False
