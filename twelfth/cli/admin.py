"""Make each program `admin/NAME.py` of a project a command."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from twelfth.cli.command import FAILED, Command, warn, words_after_dashes
from twelfth.cli.runs import RunOptions, admin_command, start_as_typed
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from invoke.context import Context


RUN_HERE = ("admin", "admin/__init__.py", "admin/verify.py")
"""Files of a project's `admin/` that are executed on this machine instead of in a run."""


def programs(directory: Path) -> Iterator[Path]:
    """Yield the programs of a project's `admin/`, sorted by name; files whose names start with `_` are no programs."""
    for path in sorted((directory / "admin").glob("[!_]*.py")):
        if path.stem.isidentifier() and path.is_file():
            yield path


def program_command(path: Path) -> Command:
    """Return the command that runs a program with the options of `run`; the words after `--` are its arguments."""

    def body(
        c: Context,
        env: list[str],
        detach: bool = False,
        node: str = "",
        reason: str = "",
        release: str = "",
        service: str = "",
        timeout: str = "",
        tty: bool = False,
        no_tty: bool = False,
    ) -> None:
        target = Target(c, release, service)
        options = RunOptions(env, detach, node, reason, timeout, tty, no_tty)
        command = admin_command(path.stem, *words_after_dashes())
        try:
            start_as_typed(c, target, command, options, is_admin_process=True)
        except Exit as failure:
            if failure.code == FAILED:
                _warn_of_another_release(target)
            raise

    body.__doc__ = _first_line(path) or f"Run admin/{path.name}."
    return Command(body, name=path.stem.replace("_", "-"), words="[-- ARG…]", iterable=["env"])


def _first_line(path: Path) -> str:
    """Parse the program instead of importing it: its dependencies may be installed in the image only."""
    try:
        return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
    except (OSError, SyntaxError, ValueError) as error:
        return f"({type(error).__name__} in {path.name})"


def _warn_of_another_release(target: Target) -> None:
    # The program may be missing in the running release, or older than the file here.
    running, service = target.source.release, target.engine("release").stack.service(target.source.service)
    if running and service and service.release not in {"", running}:
        warn(f"the running release {running} was not made from the files here. To deploy them: invoke up")
