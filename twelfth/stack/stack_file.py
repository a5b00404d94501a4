"""The location of each stack of a directory: `up` writes it to `.twelfth/`, so that a run need not read Compose files.

It is valid until an input of the project's name changes: COMPOSE_ variables, the Compose file with the variables in its
`name`, `.env` or the directory (https://docs.docker.com/compose/how-tos/project-name/).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from twelfth.engines.own_directory import make_own_directory
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from twelfth.engines.contract import Engine

SUFFIX = ".stack.json"


@dataclass(frozen=True)
class Location:
    """A project and its engine.

    `inputs` are those of the project's name. `runs_from` and `ingress` are "" if the stack has no such service, or more
    than one.
    """

    project: str
    engine: str
    runs_from: str
    inputs: dict[str, Any]
    nodes: dict[str, str] = field(default_factory=dict)
    ingress: str = ""
    inline: list[list[str]] = field(default_factory=list)
    """The service and target of each configuration file with inline content."""
    jobs: dict[str, str] = field(default_factory=dict)
    """The names of the jobs in the Compose file, with their help."""
    reported: dict[str, str] = field(default_factory=dict)
    """When ends are reported, as in `Stack.notifications`; where they are reported may be secret and is not stored."""

    def is_current(self, directory: Path, environment: Mapping[str, str]) -> bool:
        """Return whether the inputs of the project's name are unchanged."""
        files, variables = self.inputs.get("files", {}), self.inputs.get("variables", {})
        return self.inputs == _inputs(directory, files, variables, environment)

    def stack(self, directory: Path) -> Stack:
        """Return what is known of the stack without its Compose file."""
        nodes = tuple(sorted(self.nodes.items()))
        inline = tuple((service, target) for service, target in self.inline)
        return Stack(
            self.project,
            directory,
            (),
            nodes=nodes,
            runs_from=self.runs_from,
            ingress=self.ingress,
            inline=inline,
            reported=tuple(self.reported.items()),
        )


def remember(engine: Engine) -> None:
    """Write the stack's location."""
    stack = engine.stack
    ingress = stack.ingress_of([service.name for service in stack.services if engine.host_ports(service)])
    env_files = (os.environ.get("COMPOSE_ENV_FILES") or ".env").split(",")
    names = [*(os.path.relpath(path, stack.directory) for path in stack.files), *env_files]
    inputs = _inputs(stack.directory, names, _variables_of_name(stack.files), os.environ)
    inline = [[service.name, target] for service in stack.services for target in stack.inline_files(service.name)]
    location = Location(
        stack.project,
        engine.name,
        stack.run_service,
        inputs,
        dict(stack.nodes),
        ingress,
        inline,
        {job.name: job.summary for job in stack.jobs},
        stack.notifications,
    )
    path = _path(stack)
    with contextlib.suppress(OSError):  # without it, runs read the Compose file
        make_own_directory(path.parent)
        path.write_text(json.dumps(asdict(location)), "utf-8")


def recall(directory: Path) -> tuple[Location, ...]:
    """Return the locations of the stacks of a directory, that of the last `up` first."""
    paths = sorted((directory / ".twelfth").glob(f"*{SUFFIX}"), key=_changed, reverse=True)
    return tuple(location for path in paths if (location := _read(path)))


def certain(locations: Iterable[Location], directory: Path) -> Location | None:
    """Return the only location of a directory's stacks that its Compose file certainly still names, or None."""
    current = [location for location in locations if location.is_current(directory, os.environ)]
    return current[0] if len(current) == 1 else None


def is_elsewhere(engine: Engine) -> bool:
    """Return whether the last `up` of the stack was on another engine."""
    location = _read(_path(engine.stack))
    return location is not None and location.engine != engine.name


def forget(stack: Stack) -> None:
    """Remove what `remember` wrote."""
    _path(stack).unlink(missing_ok=True)


def _path(stack: Stack) -> Path:
    return stack.directory / ".twelfth" / f"{stack.project}{SUFFIX}"


def _read(path: Path) -> Location | None:
    try:
        values = json.loads(path.read_text("utf-8"))
        values["ingress"] = values.pop("door", "") or values.get("ingress", "")  # the key was called door before 0.3
        return Location(**values)
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _inputs(
    directory: Path, files: Iterable[str], variables: Iterable[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    named = {*variables, *(name for name in environment if name.startswith("COMPOSE_"))}
    return {
        "directory": str(directory.absolute()),  # with its symlinks, since Compose takes the project's name from it
        "variables": {name: environment.get(name) for name in named},
        "files": {name: _state(directory / name) for name in files},
    }


def _variables_of_name(files: Iterable[Path]) -> set[str]:
    names = set[str]()
    for file in files:
        with contextlib.suppress(OSError):
            for line in re.findall(r"^name:.*$", file.read_text("utf-8", errors="replace"), re.MULTILINE):
                names.update(re.findall(r"\$\{?([A-Za-z_]\w*)", line))
    return names


def _state(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
