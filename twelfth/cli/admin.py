"""The admin processes of a project: each program `admin/NAME.py` is a command by being there."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from twelfth.cli.command import FAILED, Command, command, on_terminal, warn, words_after_dashes
from twelfth.cli.runs import start_admin
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from invoke.context import Context


RUN_HERE = ("admin", "admin/__init__.py", "admin/verify.py")
"""What of a project's `admin/` is executed on this machine, and not in a run."""


@command()
def console(c: Context, reason: str = "", release: str = "", service: str = "") -> None:
    """Open a prompt of the service's own, with what it works on at hand."""
    start_admin(c, Target(c, release, service), "console", reason=reason, tty=on_terminal())


def programs(directory: Path) -> Iterator[Path]:
    """Yield the programs of a project's `admin/`, by name; none of the files that begin with an underscore."""
    for path in sorted((directory / "admin").glob("[!_]*.py")):
        if path.stem.isidentifier() and path.is_file():
            yield path


def program_command(path: Path) -> Command:
    """Return the command that runs a program; what follows `--` are its arguments."""

    def body(c: Context, reason: str = "", release: str = "", service: str = "") -> None:
        target = Target(c, release, service)
        try:
            start_admin(c, target, path.stem, *words_after_dashes(), reason=reason, tty=on_terminal())
        except Exit as ended:
            if ended.code == FAILED:
                _warn_of_another_release(target)
            raise

    body.__doc__ = _first_line(path) or f"Run admin/{path.name}."
    return Command(body, name=path.stem.replace("_", "-"), takes_words=True)


def _first_line(path: Path) -> str:
    """Return the first line of a program's docstring without running it."""
    try:
        return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
    except (OSError, SyntaxError, ValueError) as error:
        return f"({type(error).__name__} in {path.name})"


def _warn_of_another_release(target: Target) -> None:
    """Say so where the files here are not what runs: a program may be missing there, or be older."""
    serving, here = target.source.release, target.engine_to_deploy().stack.service(target.source.service)
    if serving and here and here.release not in {"", serving}:
        warn(f"the files here are not the release that runs, {serving}; to have them in it: invoke up")
