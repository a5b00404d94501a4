"""Wait until replicas are ready, by running their healthchecks instead of waiting for Docker's interval."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from twelfth.engines.healthcheck import OVER
from twelfth.engines.lines import telling
from twelfth.errors import EngineError
from twelfth.stack.at_once import Tasks
from twelfth.stack.formatting import printable
from twelfth.stack.logs import last_lines
from twelfth.stack.release_history import previous_release

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

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
"""How often a healthcheck has to fail in a row until its replica is unhealthy (Docker's default)."""

CRASHES = 3
"""How often a replica may be restarted while `up` waits for it at its end: it is in a crash loop then."""

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
    tasks: Tasks | None = None,
    is_first: bool = False,
) -> Health:
    """Wait until a replica is ready, and return the result of its healthcheck.

    Without a healthcheck, the time that it has to run is added to the limit; a replica that `is_first` of its service
    replaces no other, so it only has to be running. `tasks` wait for other replicas at the same time. Raises
    `EngineError` with its last output if it exited, and with its healthcheck's output if it is not ready in time;
    `GivenUpError` if another task failed before that.
    """
    tasks = tasks or Tasks(lambda _: None)
    limit = ready_within(engine.stack, replica.service, within)
    began, said = time.monotonic(), ""

    def check() -> Health:
        with tasks.turn():
            return engine.check_health(replica, max(began + limit - time.monotonic(), ASK_EVERY))

    if not is_first:
        refuse_dead(engine, replica)
    while not (health := check()).is_ready:
        now = engine.current(replica)
        if is_first and not health.has_check and not now.state.startswith(OVER):
            break  # if it crashes until its dependency is ready, that is waited for when all run
        refuse_dead(engine, now, replica.restarts)
        allowed = limit if health.has_check else limit + engine.monitor(replica.service)
        if tasks.is_given_up:
            raise GivenUpError(f"{replica.name} was not ready yet")
        said = said if said and health.is_cut_off else health.complaint
        if time.monotonic() - began > allowed:
            raise EngineError(not_ready(replica, allowed, said))
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
    pending, began, said = {each.name: each for each in replicas}, time.monotonic(), dict[str, str]()
    restarts = {name: replica.restarts for name, replica in pending.items()}
    while pending:
        limits = {name: ready_within(engine.stack, each.service, within) for name, each in pending.items()}
        most = max(limits.values())
        results = healths(engine, pending.values(), max(began + most - time.monotonic(), ASK_EVERY))
        ran = time.monotonic() - began
        pending = {name: each for name, each in pending.items() if each.id not in results or results[each.id].complaint}
        services = {each.service for each in pending.values()}
        now = {each.name: each for service in services for each in engine.replicas(service)}
        pending = {name: each for name, each in pending.items() if name in now}
        for name, replica in pending.items():
            if not services.isdisjoint(_dependencies(engine.stack, replica)):
                restarts[name] = now[name].restarts  # it may crash for as long as what it depends on is not ready
            _refuse_crashing(engine, now[name], restarts[name])
            if health := results.get(replica.id):
                limit = limits[name] + (0.0 if health.has_check else engine.monitor(replica.service))
                if not (health.is_cut_off and name in said):
                    said[name] = health.complaint
                if ran > limit:
                    if health.is_crashing:
                        raise EngineError(_crash_loop(engine, now[name]))
                    why = not_ready(replica, limit, said[name])
                    raise EngineError(why + _after(engine.stack, replica, changed))
        pending = {name: now[name] for name in pending}  # a Swarm has another task in place of one that exited
        if pending:
            time.sleep(ASK_EVERY)


def _dependencies(stack: Stack, replica: Replica) -> list[str]:
    """Return the services that the service of a replica depends on."""
    service = stack.service(replica.service)
    return [each.name for each in stack.dependencies(service)] if service else []


def _refuse_crashing(engine: Engine, replica: Replica, restarts: int) -> None:
    """Raise `EngineError` for a replica that has exited for good, or was restarted `CRASHES` times more."""
    if replica.state.startswith(OVER):
        try:
            refuse_dead(engine, replica)
        except EngineError as error:
            raise EngineError(f"{error}; {what_to_do(replica, previous_release(engine))}") from error
    if replica.restarts >= restarts + CRASHES:
        raise EngineError(_crash_loop(engine, replica))


def _crash_loop(engine: Engine, replica: Replica) -> str:
    return crash_loop(replica, previous_release(engine), _last_words(engine, replica))


def _after(stack: Stack, replica: Replica, changed: Collection[str]) -> str:
    """Return the rest of the error for a replica that cannot serve after `up`: changed dependencies, what to type."""
    names = [name for name in _dependencies(stack, replica) if name in changed]
    why = f"; it depends on {', '.join(names)}, which changed" if names else ""
    return f"{why}; see: invoke logs {replica.service}; fix that, then: invoke up"


def healths(engine: Engine, replicas: Iterable[Replica], within: float | None = None) -> dict[str, Health]:
    """Run the healthchecks of replicas and return the results by id; replicas that were removed are omitted."""
    replicas = tuple(replicas)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        results = zip(replicas, pool.map(lambda each: _health(engine, each, within), replicas), strict=True)
        return {replica.id: health for replica, health in results if health}


def first_serving(replicas: Iterable[Replica]) -> dict[str, Replica]:
    """Return the first replica of each service that serves, by the service's name."""
    latest_first = sorted(replicas, key=lambda replica: -replica.number)
    return {replica.service: replica for replica in latest_first if replica.serves}


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
            refuse_dead(engine, engine.current(replica), replica.restarts)
        results = healths(engine, replicas)
        for replica in replicas:
            health = results.get(replica.id)
            failures[replica.id] = 0 if health and health.is_ready else failures[replica.id] + 1
            if failures[replica.id] >= _retries(engine, replica):
                why = printable(health.complaint) if health else "it was removed"
                raise EngineError(f"{replica.name} became unhealthy ({why})")
        is_over = time.monotonic() - began >= seconds or not any(each.has_check for each in results.values())
        if is_over and not any(failures.values()):
            return
        time.sleep(min(WATCH_EVERY, max(began + seconds - time.monotonic(), ASK_EVERY)))


def _retries(engine: Engine, replica: Replica) -> int:
    """Return the failures in a row after which a replica is unhealthy."""
    service = engine.stack.service(replica.service)
    check = service.healthcheck if service else None
    return (check and check.retries) or RETRIES


def refuse_dead(engine: Engine, replica: Replica, restarts: int | None = None) -> None:
    """Raise `EngineError` with the last output of a replica that is not running or was restarted."""
    has_crashed = restarts is not None and replica.restarts > restarts
    if replica.is_running and not has_crashed:
        return
    state = f"crashed and was restarted ({times(replica.restarts)})" if has_crashed else f"is {replica.state}"
    raise EngineError(f"{replica.name} {state}{_last_words(engine, replica)}")


def _last_words(engine: Engine, replica: Replica) -> str:
    """Return `: ` and the line of a replica's log that tells why it exited, nothing if there is none."""
    return f": {why}" if (why := telling(last_lines(engine, replica))) else ""


def times(count: int) -> str:
    """Return `once`, or `N times`."""
    return "once" if count == 1 else f"{count} times"


def crash_loop(replica: Replica, previous: str, last: str = "") -> str:
    """Return the error for a replica in a crash loop; `previous` is the release to roll back to, or ""."""
    return f"{replica.name} keeps crashing (restarted {times(replica.restarts)}){last}; {what_to_do(replica, previous)}"


def what_to_do(replica: Replica, previous: str) -> str:
    """Return the commands that show a crashing replica's log and go back."""
    way_back = f", or go back to release {previous}: invoke rollback" if previous else ""
    return f"see: invoke logs {replica.service}{way_back}"
