"""The environment of a run's process, and the specification in its record; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.engines.local.replica_spec import Spec
    from twelfth.model.run import RunRequest

WORKER = {"release": str, "environment": dict, "directory": str, "recipe": dict}
"""The values that a replica's spec must have, at least, for a run to be made from it."""


def run_environment(worker: Spec, request: RunRequest) -> dict[str, str]:
    """Return the worker's variables with the run's changes."""
    replica_name = {"REPLICA": f"run-{request.id}"}
    kind = {"TERM": request.terminal.kind} if request.terminal and request.terminal.kind else {}
    overrides = {**dict(request.environment), **dict(request.identifying_environment)}
    return {**kind, **worker["environment"], **replica_name, **overrides}


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
        "started": started,
        "timeout": request.timeout,
        "grace": int(worker["recipe"]["stop_grace_period"].rstrip("s")),
        "tty": request.tty,
        "size": [request.terminal.rows, request.terminal.columns] if request.terminal else None,
        "interactive": request.interactive,
        "kept": request.kept,
    }
