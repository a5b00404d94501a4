"""Find the programs `admin/NAME.py` of a project: files with a `__main__` guard, which are not imported here."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.hints import command_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


RUN_HERE = ("admin", "admin/__init__.py", "admin/verify.py")
"""Files of a project's `admin/` that are executed on this machine instead of in a run."""

GUARD = "__main__"


@dataclass(frozen=True)
class Program:
    """A program by its module's name, with the first line of its docstring."""

    name: str
    summary: str

    @property
    def command(self) -> str:
        """The name of its command."""
        return command_name(self.name)


def programs(directory: Path) -> Iterator[Program]:
    """Yield the programs of a project's `admin/`, sorted by name; files whose names start with `_` are no programs."""
    for path in sorted((directory / "admin").glob("[!_]*.py")):
        if path.stem.isidentifier() and (program := _program(path)):
            yield program


def _program(path: Path) -> Program | None:
    """Parse the file instead of importing it: its dependencies may be installed in the image only."""
    try:
        if GUARD not in (text := path.read_text("utf-8")):
            return None
        module = ast.parse(text)
    except (OSError, SyntaxError, ValueError) as error:  # the image may have another Python
        return Program(path.stem, f"({type(error).__name__} in {path.name})") if path.is_file() else None
    if not any(map(_is_guard, module.body)):
        return None
    summary = (ast.get_docstring(module) or "").partition("\n")[0]
    return Program(path.stem, summary or f"Run admin/{path.name}.")


def _is_guard(statement: ast.stmt) -> bool:
    if not (isinstance(statement, ast.If) and isinstance(statement.test, ast.Compare)):
        return False
    sides = (statement.test.left, *statement.test.comparators)
    names = {side.id for side in sides if isinstance(side, ast.Name)}
    return "__name__" in names and any(isinstance(side, ast.Constant) and side.value == GUARD for side in sides)
