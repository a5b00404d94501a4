"""The environment of a run's process, and the specification in its record; pure.

Of what a job or hook declares, a process can have the environment, and the working directory if the release has it.
"""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from twelfth.compose import container_keys

if TYPE_CHECKING:
    from twelfth.engines.local.replica_spec import Spec
    from twelfth.model.job import Changes
    from twelfth.model.run import RunRequest

WORKER = {"release": str, "environment": dict, "directory": str, "recipe": dict}
"""The values that a replica's spec must have, at least, for a run to be made from it."""

WORKING_DIRECTORY = "working_dir"


def run_environment(worker: Spec, request: RunRequest) -> dict[str, str]:
    """Return the worker's variables with the run's changes."""
    replica_name = {"REPLICA": f"run-{request.id}"}
    declared = dict(request.changes.container.environment) if request.changes else {}
    kind = {"TERM": request.terminal.kind} if request.terminal and request.terminal.kind else {}
    overrides = {**dict(request.environment), **dict(request.identifying_environment)}
    return {**kind, **worker["environment"], **declared, **replica_name, **overrides}


def directories(changes: Changes | None) -> list[PurePosixPath]:
    """Return the paths in the release that may be the declared working directory; the first that exists is used.

    The image may have the release in a directory, which is not known here, so each tail of the path may be one.
    """
    declared = container_keys.values(changes.container.options).get(WORKING_DIRECTORY, "") if changes else ""
    parts = PurePosixPath(posixpath.normpath(declared)).parts[1:]
    return [PurePosixPath(*parts[start:]) for start in range(len(parts))]


def ignored(changes: Changes | None) -> tuple[str, ...]:
    """Return the keys of declared settings that a process cannot have."""
    keys = changes.keys if changes else frozenset[str]()
    return tuple(sorted(keys - {"command", "environment", WORKING_DIRECTORY}))


def run_spec(worker: Spec, request: RunRequest, started: str) -> Spec:
    """Return a run's specification without its environment, which is never stored; `started` is a time of ISO 8601."""
    return {
        "command": list(request.command),
        "directory": worker["directory"],
        "release": worker["release"],
        "overrides": list(request.overrides),
        "operator": request.operator,
        "reason": request.reason,
        "purpose": request.purpose,
        "host": request.host,
        "kind": request.kind,
        "what": request.what,
        "job": request.job,
        "trigger": request.trigger,
        "notify": request.notify,
        "started": started,
        "timeout": request.timeout,
        "grace": int(worker["recipe"]["stop_grace_period"].rstrip("s")),
        "tty": request.tty,
        "size": [request.terminal.rows, request.terminal.columns] if request.terminal else None,
        "interactive": request.interactive,
        "kept": request.kept,
    }
