"""Execute the hooks of a service in a replica: `post_start` when it has started, `pre_stop` before it is stopped."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from twelfth.engines.lines import telling
from twelfth.errors import BusyError, EngineError
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import ReplicaEngine, Say
    from twelfth.model.hook import Hook
    from twelfth.model.snapshot import Replica


def post_start(engine: ReplicaEngine, replica: Replica, say: Say) -> None:
    """Execute the hooks after a start; raises `EngineError` if one fails."""
    service = engine.stack.service(replica.service)
    try:
        _execute(engine, replica, "post_start", service.post_start if service else (), say)
    except BusyError as error:
        raise EngineError(f"post_start of {replica.name} failed: {error}") from error


def pre_stop(engine: ReplicaEngine, replica: Replica, say: Say) -> None:
    """Execute the hooks before a stop, if the replica is running; raises `EngineError` if one fails."""
    service = engine.stack.service(replica.service)
    if service and service.pre_stop and engine.current(replica).is_running:
        with contextlib.suppress(BusyError):  # it has just exited
            _execute(engine, replica, "pre_stop", service.pre_stop, say)


def _execute(engine: ReplicaEngine, replica: Replica, key: str, hooks: Iterable[Hook], say: Say) -> None:
    for hook in hooks:
        code, output = engine.execute_hook(replica, hook)
        lines = [line for line in output.splitlines() if line.strip()]
        for line in lines:
            say(f"{replica.name} {key}: {line}")
        if code:
            why = printable(telling(lines)) or "it printed nothing"
            raise EngineError(f"{key} of {replica.name} failed: {why} (exit code {code})")
