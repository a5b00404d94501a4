"""Wait until a replica is ready, by its service's own healthcheck, asked at our pace and not at Docker's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from twelfth.engines.lines import telling
from twelfth.errors import EngineError
from twelfth.stack.formatting import printable
from twelfth.stack.logs import last_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Replica

READY_WITHIN = 60.0
"""Seconds that a replica has to get ready where `--ready-within` does not say otherwise."""

ASK_EVERY = 0.05
"""Seconds between two questions."""

HEALTHY = "healthy"
"""What an engine that asks by itself says of a replica whose healthcheck passes (Docker's own word)."""


def wait_until_ready(engine: Engine, replica: Replica, within: float = READY_WITHIN) -> Health:
    """Return what its healthcheck says when the replica is ready.

    Raises `EngineError` with its last words where it ended, and with what its healthcheck says where it is not ready
    in `within` seconds.
    """
    deadline = time.monotonic() + within
    refuse_dead(engine, replica)
    while not (health := engine.check_health(replica)).is_ready:
        refuse_dead(engine, current(engine, replica), replica.restarts)
        if time.monotonic() > deadline:
            why = printable(health.reason) or "its healthcheck fails"
            raise EngineError(f"{replica.name} is not ready after {within:g} s ({why})")
        time.sleep(ASK_EVERY)
    return health


def wait_for_services(engine: Engine, names: Iterable[str], within: float, then: str) -> None:
    """Return when what serves of some services is ready.

    Raises `EngineError`, which goes on with `then`, where that takes too long.
    """
    try:
        for replica in (each for name in names for each in engine.replicas(name)):
            if replica.serves and replica.health != HEALTHY:
                wait_until_ready(engine, replica, within)
    except EngineError as error:
        raise EngineError(f"{error}; {then}; fix that, then: invoke up") from error


def current(engine: Engine, replica: Replica) -> Replica:
    """Return how a replica is now, or as it was where it is gone."""
    return next((each for each in engine.replicas(replica.service) if each.id == replica.id), replica)


def refuse_dead(engine: Engine, replica: Replica, restarts: int | None = None) -> None:
    """Raise `EngineError` with the last words of a replica that does not run, or had to be started again."""
    has_ended = restarts is not None and replica.restarts > restarts
    if replica.is_running and not has_ended:
        return
    last = f": {why}" if (why := telling(last_lines(engine, replica))) else ""
    state = "ended and was started again" if has_ended else f"is {replica.state}"
    raise EngineError(f"{replica.name} {state}{last}")
