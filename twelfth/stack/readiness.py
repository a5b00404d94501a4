"""Wait until replicas are ready. Their healthchecks are run here, since Docker runs them only once per interval."""

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
from twelfth.stack.release_choice import previous_release

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Replica
    from twelfth.model.stack import Stack

READY_WITHIN = 60.0
"""Default seconds for a replica to get ready without `--ready-within`; `start_period` is added."""

ASK_EVERY = 0.05
"""Seconds between checks."""

WATCH_EVERY = 1.0
"""Seconds between healthchecks of a watched replica."""

RETRIES = 3
"""Failures of a healthcheck in a row after which its replica is unhealthy (Docker's default)."""

CRASHES = 3
"""Restarts of a replica during the last wait of `up` after which it counts as crash-looping."""

CHECKS_AT_ONCE = 8
"""Healthchecks that run at the same time: each starts a process."""

HEALTHY = "healthy"
"""The `health` of a replica whose healthcheck passed, on engines that run it themselves (Docker's term)."""

FIX = "Fix that, then repeat the command"
"""The end of an error that the operator fixes; the command may be `up`, `scale` or `rollback`."""


def ready_within(stack: Stack, service: str, within: float | None) -> float:
    """Return the seconds that a replica of a service has to get ready; `within` is the value of `--ready-within`."""
    declared = stack.service(service)
    check = declared.healthcheck if declared else None
    return READY_WITHIN + ((check and check.start_period) or 0.0) if within is None else within


class GivenUpError(EngineError):
    """The wait for a replica was given up, since another one failed."""


def wait_until_ready(
    engine: Engine,
    replica: Replica,
    within: float | None = None,
    *,
    tasks: Tasks | None = None,
    is_first: bool = False,
) -> Health:
    """Wait until a replica is ready, and return the result of its healthcheck.

    For a replica without a healthcheck, the time that it has to run is added to the limit. A replica that `is_first` of
    its service replaces no other, so without a healthcheck it only has to be running. `tasks` are the waits for other
    replicas. Raises `EngineError` with its last output if it exited, and with its healthcheck's output if it is not
    ready in time; `GivenUpError` if another task failed before that.
    """
    tasks = tasks or Tasks(lambda _: None)
    limit = ready_within(engine.stack, replica.service, within)
    began, complaint = time.monotonic(), ""

    def check() -> Health:
        with tasks.turn():
            return engine.check_health(replica, max(began + limit - time.monotonic(), ASK_EVERY))

    if not is_first:
        refuse_dead(engine, replica)
    while not (health := check()).is_ready:
        now = engine.current(replica)
        if is_first and not health.has_check and not now.state.startswith(OVER):
            break  # it may crash until its dependency is ready; the last wait of `up` checks that
        refuse_dead(engine, now, replica.restarts)
        allowed = limit if health.has_check else limit + engine.monitor(replica.service)
        if tasks.is_given_up:
            raise GivenUpError(f"{replica.name} was not ready yet")
        complaint = complaint if complaint and health.is_cut_off else health.complaint
        if time.monotonic() - began > allowed:
            raise EngineError(not_ready(replica, allowed, complaint))
        time.sleep(ASK_EVERY)
    return health


def not_ready(replica: Replica, seconds: float, why: str) -> str:
    """Return the error for a replica that is not ready after some seconds."""
    return f"{replica.name} is not ready after {seconds:g} s ({printable(why)})"


def wait_until_all_serve(
    engine: Engine, replicas: Iterable[Replica], within: float | None, changed: Collection[str]
) -> None:
    """Wait until replicas are ready and their healthchecks print no error.

    Raises `EngineError` for one that is not ready in time, with the `changed` services that it depends on.
    """
    pending, began = {replica.name: replica for replica in replicas}, time.monotonic()
    complaints: dict[str, str] = {}
    restarts = {name: replica.restarts for name, replica in pending.items()}
    while pending:
        limits = {name: ready_within(engine.stack, replica.service, within) for name, replica in pending.items()}
        most = max(limits.values())
        results = healths(engine, pending.values(), max(began + most - time.monotonic(), ASK_EVERY))
        waited = time.monotonic() - began
        pending = {
            name: replica
            for name, replica in pending.items()
            if replica.id not in results or results[replica.id].complaint
        }
        services = {replica.service for replica in pending.values()}
        now = {replica.name: replica for service in services for replica in engine.replicas(service)}
        pending = {name: replica for name, replica in pending.items() if name in now}
        for name, replica in pending.items():
            if not services.isdisjoint(_dependencies(engine.stack, replica)):
                restarts[name] = now[name].restarts  # it may crash until its dependencies are ready
            _refuse_crashing(engine, now[name], restarts[name])
            if health := results.get(replica.id):
                limit = limits[name] + (0.0 if health.has_check else engine.monitor(replica.service))
                if not (health.is_cut_off and name in complaints):
                    complaints[name] = health.complaint
                if waited > limit:
                    if health.is_crashing:
                        raise EngineError(_crash_loop(engine, now[name]))
                    why = not_ready(replica, limit, complaints[name])
                    raise EngineError(why + _after(engine.stack, replica, changed))
        pending = {name: now[name] for name in pending}  # Swarm replaces a task that exited with another one
        if pending:
            time.sleep(ASK_EVERY)


def _dependencies(stack: Stack, replica: Replica) -> list[str]:
    service = stack.service(replica.service)
    return [dependency.name for dependency in stack.dependencies(service)] if service else []


def _refuse_crashing(engine: Engine, replica: Replica, restarts: int) -> None:
    if replica.state.startswith(OVER):
        try:
            refuse_dead(engine, replica)
        except EngineError as error:
            raise EngineError(f"{error}. {what_to_do(replica, previous_release(engine))}") from error
    if replica.restarts >= restarts + CRASHES:
        raise EngineError(_crash_loop(engine, replica))


def _crash_loop(engine: Engine, replica: Replica) -> str:
    return crash_loop(replica, previous_release(engine), _last_words(engine, replica))


def _after(stack: Stack, replica: Replica, changed: Collection[str]) -> str:
    names = [name for name in _dependencies(stack, replica) if name in changed]
    why = f"; it depends on {', '.join(names)}, which changed" if names else ""
    return f"{why}. Try: invoke logs {replica.service}. {FIX}"


def healths(engine: Engine, replicas: Iterable[Replica], within: float | None = None) -> dict[str, Health]:
    """Run the healthchecks of replicas and return the results by id; replicas that were removed are omitted."""
    replicas = tuple(replicas)
    with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
        results = zip(replicas, pool.map(lambda replica: _health(engine, replica, within), replicas), strict=True)
        return {replica.id: health for replica, health in results if health}


def first_serving(replicas: Iterable[Replica]) -> dict[str, Replica]:
    """Return the first replica of each service that serves, by the service's name."""
    latest_first = sorted(replicas, key=lambda replica: -replica.number)
    return {replica.service: replica for replica in latest_first if replica.serves}


def _health(engine: Engine, replica: Replica, within: float | None) -> Health | None:
    try:
        return engine.check_health(replica, within)
    except EngineError:
        if any(current.id == replica.id for current in engine.replicas(replica.service)):
            raise
    return None


def wait_for_services(engine: Engine, names: Iterable[str], within: float | None, consequence: str) -> None:
    """Wait until the running replicas of some services are ready.

    Raises `EngineError` with the `consequence` if that takes too long.
    """
    try:
        for replica in (replica for name in names for replica in engine.replicas(name)):
            if replica.serves and replica.health != HEALTHY:
                wait_until_ready(engine, replica, within)
    except EngineError as error:
        raise EngineError(f"{error}; {consequence}. {FIX}") from error


def watch(engine: Engine, replicas: Iterable[Replica], seconds: float) -> None:
    """Watch replicas for some seconds; those without a healthcheck have already run that long.

    Raises `EngineError` if a replica exits or has more `restarts` than the given value, with its last output; or if it
    fails its healthcheck `retries` times in a row, with the check's output.
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
        is_over = time.monotonic() - began >= seconds or not any(health.has_check for health in results.values())
        if is_over and not any(failures.values()):
            return
        time.sleep(min(WATCH_EVERY, max(began + seconds - time.monotonic(), ASK_EVERY)))


def _retries(engine: Engine, replica: Replica) -> int:
    service = engine.stack.service(replica.service)
    check = service.healthcheck if service else None
    return (check and check.retries) or RETRIES


def refuse_dead(engine: Engine, replica: Replica, restarts: int | None = None) -> None:
    """Raise `EngineError` with the last output of a replica that does not run or has more than `restarts`."""
    has_crashed = restarts is not None and replica.restarts > restarts
    if replica.is_running and not has_crashed:
        return
    crashed = f"crashed and was restarted ({times(replica.restarts)})"
    raise EngineError(f"{replica.name} {crashed if has_crashed else state(replica)}{_last_words(engine, replica)}")


def state(replica: Replica) -> str:
    """Return the state of a replica as a predicate: `exited (1)`, `is stopped`."""
    return replica.state if replica.state.startswith("exited") else f"is {replica.state}"


def _last_words(engine: Engine, replica: Replica) -> str:
    return f": {why}" if (why := telling(last_lines(engine, replica))) else ""


def times(count: int) -> str:
    """Return `once`, or `N times`."""
    return "once" if count == 1 else f"{count} times"


def crash_loop(replica: Replica, previous: str, last: str = "") -> str:
    """Return the error for a replica in a crash loop; `previous` is the release to roll back to, or ""."""
    return f"{replica.name} keeps crashing (restarted {times(replica.restarts)}){last}. {what_to_do(replica, previous)}"


def what_to_do(replica: Replica, previous: str) -> str:
    """Return the commands that show a crashing replica's log and go back, if a rollback changes its image."""
    is_changed = previous and replica.release not in {"", previous}
    way_back = f", or go back to release {previous}: invoke rollback" if is_changed else ""
    return f"Try: invoke logs {replica.service}{way_back}"


def still_running(replicas: Iterable[Replica], failed: Replica) -> str:
    """Return which of a service's replicas run although a new one failed, as a part of its error."""
    running = [replica for replica in replicas if replica.serves and replica.id != failed.id]
    if not running:
        return f"no {failed.service} is running"
    releases = {replica.release for replica in running}
    if len(releases) == 1 and releases.isdisjoint({"", failed.release}):
        return f"release {releases.pop()} is still running"
    names = ", ".join(f"{'the old ' * (replica.name == failed.name)}{replica.name}" for replica in running)
    return f"{names} {'are' if len(running) > 1 else 'is'} still running"
