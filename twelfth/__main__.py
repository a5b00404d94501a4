"""The console script `twelfth`: the commands of the project around this directory, with or without a `tasks.py`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.config import Config
from invoke.loader import FilesystemLoader
from invoke.program import Program

import twelfth
from twelfth.compose.config import NAMES, version

if TYPE_CHECKING:
    from collections.abc import Iterable


class Twelfth(Program):
    """Invoke's program, which also says which Compose reads the Compose file."""

    def print_version(self) -> None:
        """Print the versions of this tool and of the Compose that it asks."""
        super().print_version()
        print(f"Compose {version(os.environ)}")


def project_directory(start: Path) -> Path:
    """Return the nearest directory from `start` upwards that has a Compose file, as Compose looks for it."""
    return next((each for each in (start, *start.parents) if _has(each, NAMES)), start)


def _has(directory: Path, names: Iterable[str]) -> bool:
    return any((directory / name).is_file() for name in names)


def commands(directory: Path) -> Collection:
    """Return the commands of a project: those of its `tasks.py` where that asks for ours, else ours alone."""
    tasks = directory / "tasks.py"
    if tasks.is_file() and "twelfth" in tasks.read_text("utf-8", "replace"):
        module, _ = FilesystemLoader(config=Config(), start=str(directory)).load("tasks")
        return Collection.from_module(module)
    return twelfth.project(tasks)


def main() -> None:
    """Run the command that was typed, and exit."""
    Twelfth(
        version=twelfth.__version__,
        namespace=commands(project_directory(Path.cwd())),
        name="twelfth",
        binary="twelfth",
        binary_names=["twelfth"],
    ).run()


if __name__ == "__main__":
    main()
