"""Whether replicas are ready, by their services' own healthchecks, asked at our pace and not at Docker's."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from twelfth.engines.lines import telling
from twelfth.errors import EngineError
from twelfth.stack.formatting import printable
from twelfth.stack.logs import last_lines
from twelfth.stack.releases import previous_release

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Replica
    from twelfth.model.stack import Stack

READY_WITHIN = 60.0
"""Seconds that a replica has to get ready if `--ready-within` does not say otherwise; `start_period` is added."""

ASK_EVERY = 0.05
"""Seconds between two questions."""

WATCH_EVERY = 1.0
"""Seconds between two questions to a replica that was ready."""

RETRIES = 3

ASKED_AT_ONCE = 8
"""How many healthchecks run at the same time: each starts a process."""

HEALTHY = "healthy"
"""What an engine that asks by itself says of a replica whose healthcheck passes (Docker's own word)."""


def ready_within(stack: Stack, service: str, asked: float | None) -> float:
    """Return how many seconds a replica of a service has to get ready; `asked` is what `--ready-within` says."""
    declared = stack.service(service)
    check = declared.healthcheck if declared else None
    return READY_WITHIN + ((check and check.start_period) or 0.0) if asked is None else asked


class GivenUpError(EngineError):
    """A replica was not ready when it was decided not to wait for it any longer."""


def wait_until_ready(
    engine: Engine,
    replica: Replica,
    within: float | None = None,
    *,
    is_first: bool = False,
    is_given_up: Callable[[], bool] = lambda: False,
) -> Health:
    """Return what its healthcheck says when the replica is ready.

    A replica without a healthcheck has the time for which it must have run in addition; one that `is_first` of its
    service takes the place of no other, so that it only has to run. Raises `EngineError` with its last words if it
    exited, and with what its healthcheck says if it is not ready in time; `GivenUpError` if it `is_given_up` before.
    """
    limit = ready_within(engine.stack, replica.service, within)
    began = time.monotonic()
    refuse_dead(engine, replica)
    while not (health := engine.check_health(replica, max(began + limit - time.monotonic(), ASK_EVERY))).is_ready:
        refuse_dead(engine, current(engine, replica), replica.restarts)
        if is_first and not health.has_check:
            break
        allowed = limit if health.has_check else limit + engine.monitor(replica.service)
        if is_given_up():
            raise GivenUpError(f"{replica.name} was not ready yet")
        if time.monotonic() - began > allowed:
            raise EngineError(not_ready(replica, allowed, health.complaint))
        time.sleep(ASK_EVERY)
    return health


def not_ready(replica: Replica, seconds: float, why: str) -> str:
    """Return what to say of a replica that is not ready after some seconds."""
    return f"{replica.name} is not ready after {seconds:g} s ({printable(why)})"


def wait_until_all_serve(
    engine: Engine, replicas: Iterable[Replica], within: float | None, changed: Collection[str]
) -> None:
    """Return when replicas can serve, which is more than that their processes are well.

    Raises `EngineError` for one that cannot in time, and names what of the `changed` services it depends on.
    """
    pending, began = {each.id: each for each in replicas}, time.monotonic()
    while pending:
        limits = {identity: ready_within(engine.stack, each.service, within) for identity, each in pending.items()}
        ran = time.monotonic() - began
        found = healths(engine, pending.values(), max(max(limits.values()) - ran, ASK_EVERY))
        pending = {identity: pending[identity] for identity, health in found.items() if health.complaint}
        for identity, replica in pending.items():
            health, limit = found[identity], limits[identity]
            limit += 0.0 if health.has_check else engine.monitor(replica.service)
            _refuse_crashing(engine, current(engine, replica), replica.restarts, health)
            if ran > limit:
                raise EngineError(not_ready(replica, limit, health.complaint) + _after(engine.stack, replica, changed))
        if pending:
            time.sleep(ASK_EVERY)


def _refuse_crashing(engine: Engine, replica: Replica, restarts: int, health: Health) -> None:
    try:
        refuse_dead(engine, replica, restarts)
    except EngineError as error:
        raise EngineError(f"{error}; {what_to_do(replica, previous_release(engine))}") from error
    if health.is_crashing:
        raise EngineError(crash_loop(replica, previous_release(engine)))


def _after(stack: Stack, replica: Replica, changed: Collection[str]) -> str:
    """Return what to say of a replica after `up` changed something, and what to do."""
    service = stack.service(replica.service)
    names = [each.name for each in stack.dependencies(service) if each.name in changed] if service else []
    why = f"; it depends on {', '.join(names)}, which changed" if names else ""
    return f"{why}; see: invoke logs {replica.service}; fix that, then: invoke up"


def healths(engine: Engine, replicas: Iterable[Replica], within: float | None = None) -> dict[str, Health]:
    """Return what the healthchecks of replicas say now, by their ids, without those that are gone."""
    replicas = tuple(replicas)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        found = zip(replicas, pool.map(lambda each: _health(engine, each, within), replicas), strict=True)
        return {replica.id: health for replica, health in found if health}


def _health(engine: Engine, replica: Replica, within: float | None) -> Health | None:
    try:
        return engine.check_health(replica, within)
    except EngineError:
        if any(each.id == replica.id for each in engine.replicas(replica.service)):
            raise
    return None


def wait_for_services(engine: Engine, names: Iterable[str], within: float | None, then: str) -> None:
    """Return when what serves of some services is ready.

    Raises `EngineError`, which continues with `then`, if that takes too long.
    """
    try:
        for replica in (each for name in names for each in engine.replicas(name)):
            if replica.serves and replica.health != HEALTHY:
                wait_until_ready(engine, replica, within)
    except EngineError as error:
        raise EngineError(f"{error}; {then}; fix that, then: invoke up") from error


def watch(engine: Engine, replicas: Iterable[Replica], seconds: float) -> None:
    """Return when replicas have served for some seconds more; those without a healthcheck have done so already.

    Raises `EngineError` with its last words if one exited or was restarted since it was as it is given here, and with
    what its healthcheck says if that fails as often as its service's `retries`.
    """
    replicas, failures, began = tuple(replicas), Counter[str](), time.monotonic()
    while True:
        for replica in replicas:
            refuse_dead(engine, current(engine, replica), replica.restarts)
        found = healths(engine, replicas)
        for replica in replicas:
            health = found.get(replica.id)
            failures[replica.id] = 0 if health and health.is_ready else failures[replica.id] + 1
            if failures[replica.id] >= _retries(engine, replica):
                why = printable(health.complaint) if health else "it was removed"
                raise EngineError(f"{replica.name} became unhealthy ({why})")
        is_over = time.monotonic() - began >= seconds or not any(each.has_check for each in found.values())
        if is_over and not any(failures.values()):
            return
        time.sleep(min(WATCH_EVERY, max(began + seconds - time.monotonic(), ASK_EVERY)))


def _retries(engine: Engine, replica: Replica) -> int:
    """Return how often a healthcheck has to fail in a row until its replica is unhealthy (Docker's default is 3)."""
    service = engine.stack.service(replica.service)
    check = service.healthcheck if service else None
    return (check and check.retries) or RETRIES


def current(engine: Engine, replica: Replica) -> Replica:
    """Return how a replica is now, or as it was where it is gone."""
    return next((each for each in engine.replicas(replica.service) if each.id == replica.id), replica)


def refuse_dead(engine: Engine, replica: Replica, restarts: int | None = None) -> None:
    """Raise `EngineError` with the last words of a replica that does not run, or that was restarted."""
    has_crashed = restarts is not None and replica.restarts > restarts
    if replica.is_running and not has_crashed:
        return
    last = f": {why}" if (why := telling(last_lines(engine, replica))) else ""
    state = f"crashed and was restarted ({times(replica.restarts)})" if has_crashed else f"is {replica.state}"
    raise EngineError(f"{replica.name} {state}{last}")


def times(count: int) -> str:
    """Return `once`, or `N times`."""
    return "once" if count == 1 else f"{count} times"


def crash_loop(replica: Replica, previous: str) -> str:
    """Return what to say of a replica that exits again and again; `previous` is the release to go back to, or ""."""
    return f"{replica.name} keeps crashing (restarted {times(replica.restarts)}); {what_to_do(replica, previous)}"


def what_to_do(replica: Replica, previous: str) -> str:
    """Return where a replica that crashes says why, and how to go back."""
    way_back = f", or go back to release {previous}: invoke rollback" if previous else ""
    return f"see: invoke logs {replica.service}{way_back}"
