"""Wait until replicas are ready, by running their healthchecks instead of waiting for Docker's interval."""

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
"""Default seconds for a replica to get ready without `--ready-within`; `start_period` is added."""

ASK_EVERY = 0.05
"""Seconds between two questions."""

WATCH_EVERY = 1.0
"""Seconds between healthchecks of a watched replica."""

RETRIES = 3

ASKED_AT_ONCE = 8
"""How many healthchecks run at the same time: each starts a process."""

HEALTHY = "healthy"
"""What an engine that asks by itself says of a replica whose healthcheck passes (Docker's own word)."""


def ready_within(stack: Stack, service: str, asked: float | None) -> float:
    """Return the seconds that a replica of a service has to get ready; `asked` is the value of `--ready-within`."""
    declared = stack.service(service)
    check = declared.healthcheck if declared else None
    return READY_WITHIN + ((check and check.start_period) or 0.0) if asked is None else asked


class GivenUpError(EngineError):
    """A replica was not ready when the wait for it was given up."""


def wait_until_ready(
    engine: Engine,
    replica: Replica,
    within: float | None = None,
    *,
    is_first: bool = False,
    is_given_up: Callable[[], bool] = lambda: False,
) -> Health:
    """Wait until a replica is ready, and return the result of its healthcheck.

    Without a healthcheck, the time that it has to run is added to the limit; a replica that `is_first` of its service
    replaces no other, so it only has to be running. Raises `EngineError` with its last output if it exited, and with
    its healthcheck's output if it is not ready in time; `GivenUpError` if `is_given_up` before that.
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
    """Return the error for a replica that is not ready after some seconds."""
    return f"{replica.name} is not ready after {seconds:g} s ({printable(why)})"


def wait_until_all_serve(
    engine: Engine, replicas: Iterable[Replica], within: float | None, changed: Collection[str]
) -> None:
    """Wait until replicas can serve, which requires more than healthy processes.

    Raises `EngineError` for one that cannot serve in time, with the `changed` services that it depends on.
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
    """Return the rest of the error for a replica that cannot serve after `up`: changed dependencies, what to type."""
    service = stack.service(replica.service)
    names = [each.name for each in stack.dependencies(service) if each.name in changed] if service else []
    why = f"; it depends on {', '.join(names)}, which changed" if names else ""
    return f"{why}; see: invoke logs {replica.service}; fix that, then: invoke up"


def healths(engine: Engine, replicas: Iterable[Replica], within: float | None = None) -> dict[str, Health]:
    """Run the healthchecks of replicas and return the results by id; replicas that were removed are omitted."""
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
    """Wait until the running replicas of some services are ready.

    Raises `EngineError`, whose message ends with `then`, if that takes too long.
    """
    try:
        for replica in (each for name in names for each in engine.replicas(name)):
            if replica.serves and replica.health != HEALTHY:
                wait_until_ready(engine, replica, within)
    except EngineError as error:
        raise EngineError(f"{error}; {then}; fix that, then: invoke up") from error


def watch(engine: Engine, replicas: Iterable[Replica], seconds: float) -> None:
    """Watch replicas for some seconds; those without a healthcheck have already run that long.

    Raises `EngineError` if a replica exits, has more `restarts` than in the value given here (with its last output), or
    fails its healthcheck `retries` times in a row (with the check's output).
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
    """Return the failures in a row after which a replica is unhealthy (Docker's default is 3)."""
    service = engine.stack.service(replica.service)
    check = service.healthcheck if service else None
    return (check and check.retries) or RETRIES


def current(engine: Engine, replica: Replica) -> Replica:
    """Return how a replica is now, or as it was where it is gone."""
    return next((each for each in engine.replicas(replica.service) if each.id == replica.id), replica)


def refuse_dead(engine: Engine, replica: Replica, restarts: int | None = None) -> None:
    """Raise `EngineError` with the last output of a replica that is not running or was restarted."""
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
    """Return the error for a replica in a crash loop; `previous` is the release to roll back to, or ""."""
    return f"{replica.name} keeps crashing (restarted {times(replica.restarts)}); {what_to_do(replica, previous)}"


def what_to_do(replica: Replica, previous: str) -> str:
    """Return the commands that show a crashing replica's log and go back."""
    way_back = f", or go back to release {previous}: invoke rollback" if previous else ""
    return f"see: invoke logs {replica.service}{way_back}"
