"""Wait until a stack is ready: each replica by its service's own healthcheck, asked at our pace and not at Docker's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twelfth.errors import EngineError
from twelfth.stack.text import printable

if TYPE_CHECKING:
    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica, Snapshot

READY_WITHIN = 60.0
"""Seconds that a stack has from its last step until all of it is ready."""

ASK_EVERY = 0.05
"""Seconds between two questions."""

HEALTHY = "healthy"
"""What an engine that asks by itself says of a replica whose healthcheck passes (Docker's own word)."""


def wait_until_ready(engine: Engine, within: float = READY_WITHIN) -> Snapshot:
    """Return what is there when every replica is ready.

    Raises `EngineError` with the last words of a replica that is dead, and with what its healthcheck says where one is
    not ready in `within` seconds.
    """
    deadline = time.monotonic() + within
    snapshot = engine.observe()
    refuse_dead(engine, snapshot.replicas)
    for replica in snapshot.replicas:
        if replica.health != HEALTHY:
            _wait_for(engine, replica, deadline, within)
    return snapshot


def _wait_for(engine: Engine, replica: Replica, deadline: float, within: float) -> None:
    while not (health := engine.check_health(replica)).is_ready:
        refuse_dead(engine, engine.replicas(replica.service))
        if time.monotonic() > deadline:
            why = printable(health.reason) or "its healthcheck fails"
            raise EngineError(
                f"{replica.name} is not ready after {within:g} s ({why}); see: invoke logs {replica.service}"
            )
        time.sleep(ASK_EVERY)


def refuse_dead(engine: Engine, replicas: tuple[Replica, ...]) -> None:
    """Raise `EngineError` with the last words of a replica that does not run."""
    for replica in replicas:
        if not replica.is_running:
            words = b"".join(engine.logs(replica, follow=False)).decode(errors="replace").strip().splitlines()
            last = f": {words[-1]}" if words else ""
            raise EngineError(f"{replica.name} is {replica.state}{last}; see: invoke logs {replica.service}")
