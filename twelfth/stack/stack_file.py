"""Where each stack of a directory is: `up` leaves it in `.twelfth/`, so that a run needs no Compose file to find it.

What it leaves counts only as long as nothing changed that decides the project's name, which COMPOSE_ variables, the
Compose file with the variables in its `name`, `.env` and the directory do
(https://docs.docker.com/compose/how-tos/project-name/).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from twelfth.engines.disk_errors import REPEAT, disk_errors
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from twelfth.engines.contract import Engine

SUFFIX = ".stack.json"


@dataclass(frozen=True)
class Location:
    """A project and its engine, what its name was made from, which service its runs are made from, which is its door.

    Both are empty where there is none, or no certain one.
    """

    project: str
    engine: str
    runs_from: str
    inputs: dict[str, Any]
    nodes: dict[str, str] = field(default_factory=dict)
    door: str = ""
    inline: list[list[str]] = field(default_factory=list)
    """The service and target of each configuration file that Compose would copy into its containers."""

    def is_current(self, directory: Path, environment: Mapping[str, str]) -> bool:
        """Return whether nothing has changed that decides the project's name."""
        files, variables = self.inputs.get("files", {}), self.inputs.get("variables", {})
        return self.inputs == _inputs(directory, files, variables, environment)

    def stack(self, directory: Path) -> Stack:
        """Return as much of the stack as is known without its Compose file."""
        nodes = tuple(sorted(self.nodes.items()))
        inline = tuple((service, target) for service, target in self.inline)
        return Stack(self.project, directory, (), nodes=nodes, runs_from=self.runs_from, door=self.door, inline=inline)


def remember(engine: Engine) -> None:
    """Write where the stack is, beside its lock, which is held; raises `EngineError` where that cannot be written."""
    stack = engine.stack
    door = stack.door_of([service.name for service in stack.services if engine.host_ports(service)])
    names = [*(os.path.relpath(path, stack.directory) for path in stack.files), ".env"]
    inputs = _inputs(stack.directory, names, _variables_of_name(stack.files), os.environ)
    inline = [[service.name, target] for service in stack.services for target in stack.inline_files(service.name)]
    location = Location(stack.project, engine.name, stack.source, inputs, dict(stack.nodes), door, inline)
    path = _path(stack)
    with disk_errors(path, REPEAT):
        path.write_text(json.dumps(asdict(location)), "utf-8")


def recall(directory: Path) -> tuple[Location, ...]:
    """Return where the stacks of a directory were brought up, the one of the last `up` first."""
    paths = sorted((directory / ".twelfth").glob(f"*{SUFFIX}"), key=_changed, reverse=True)
    return tuple(found for path in paths if (found := _read(path)))


def is_elsewhere(engine: Engine) -> bool:
    """Return whether the stack was brought up last on another engine."""
    found = _read(_path(engine.stack))
    return found is not None and found.engine != engine.name


def forget(stack: Stack) -> None:
    """Remove what `remember` wrote: nothing of the stack is to be left."""
    _path(stack).unlink(missing_ok=True)


def _path(stack: Stack) -> Path:
    return stack.directory / ".twelfth" / f"{stack.project}{SUFFIX}"


def _read(path: Path) -> Location | None:
    try:
        return Location(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _inputs(
    directory: Path, files: Iterable[str], variables: Iterable[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return what decides the project's name: variables by value, files by size and time of change."""
    named = {*variables, *(name for name in environment if name.startswith("COMPOSE_"))}
    return {
        "directory": str(directory.absolute()),  # with its symlinks, since Compose takes the project's name from it
        "variables": {name: environment.get(name) for name in named},
        "files": {name: _state(directory / name) for name in files},
    }


def _variables_of_name(files: Iterable[Path]) -> set[str]:
    """Return the variables that stand in the `name` of Compose files."""
    found = set[str]()
    for file in files:
        with contextlib.suppress(OSError):
            for line in re.findall(r"^name:.*$", file.read_text("utf-8", errors="replace"), re.MULTILINE):
                found.update(re.findall(r"\$\{?([A-Za-z_]\w*)", line))
    return found


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"
