"""What the process of a run is started from, and what is recorded of it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.engines.local.replica_spec import Spec
    from twelfth.model.run import RunRequest

WORKER = {"release": str, "environment": dict, "directory": str, "recipe": dict}
"""What a replica's spec must hold, at least, for a run to be made from it."""


def run_environment(worker: Spec, request: RunRequest) -> dict[str, str]:
    """Return the worker's variables with what the run has instead."""
    own = {"REPLICA": f"run-{request.id}"}
    kind = {"TERM": request.terminal.kind} if request.terminal and request.terminal.kind else {}
    own_overrides = {**dict(request.environment), **dict(request.identifying_environment)}
    return {**kind, **worker["environment"], **own, **own_overrides}


def run_spec(worker: Spec, request: RunRequest, started: str) -> Spec:
    """Return what a run is, as far as it is kept: all but its environment; `started` is a time of ISO 8601."""
    return {
        "command": list(request.command),
        "directory": worker["directory"],
        "release": worker["release"],
        "overrides": [name for name, _ in request.environment],
        "operator": request.operator,
        "reason": request.reason,
        "purpose": request.purpose,
        "started": started,
        "timeout": request.timeout,
        "grace": int(worker["recipe"]["stop_grace_period"].rstrip("s")),
        "tty": request.tty,
        "size": [request.terminal.rows, request.terminal.columns] if request.terminal else None,
        "interactive": request.interactive,
        "kept": request.kept,
    }
