"""The status of a stack: its running replicas, its address and the results of its healthchecks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twelfth.errors import EngineError, NotUpError
from twelfth.stack import completion, notices
from twelfth.stack.deploy_record import read_deploys
from twelfth.stack.formatting import printable
from twelfth.stack.readiness import crash_loop, healths
from twelfth.stack.release_choice import previous_release

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Replica, Snapshot
    from twelfth.model.stack import Stack
    from twelfth.stack.deploy_record import Deploy


@dataclass(frozen=True)
class ReplicaStatus:
    """One replica; `restarts` counts the restarts by the engine."""

    name: str
    state: str
    ready: bool
    release: str
    restarts: int


@dataclass(frozen=True)
class ServiceStatus:
    """One service, with its numbers of running, ready and declared replicas (`replicas`, `ready`, `wanted`)."""

    service: str
    replicas: int
    ready: int
    wanted: int
    state: str
    health: str
    release: str
    restarts: int
    each: tuple[ReplicaStatus, ...]


@dataclass(frozen=True)
class Status:
    """A stack; `why` is the first reason why it is not ready, `details` the JSON that its healthchecks print.

    `scheduler` is the state of the scheduler that the engine keeps running.
    `deploy` names who is changing it now; `deployed` is its last successful deploy;
    `warnings` are differences from the Compose file that do not affect readiness, and missed fires of schedules.
    `machine` is where the stack runs, "" for this machine.
    """

    project: str
    engine: str
    address: str
    ready: bool
    why: str
    release: str
    services: tuple[ServiceStatus, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    deploy: str = ""
    warnings: tuple[str, ...] = ()
    scheduler: str = ""
    deployed: Deploy | None = None
    machine: str = ""


def status(engine: Engine, checked: Callable[[], Mapping[str, Health]] = dict) -> Status:
    """Return the stack's status after running the healthcheck of every replica.

    `checked` returns the results of healthchecks that this command has run already, by the replicas' ids. Replicas that
    are removed meanwhile are omitted. Replicas of services that the stack does not declare only cause a warning.
    """
    observed = engine.observe()
    declared = {service.name for service in engine.stack.services}
    replicas = tuple(replica for replica in observed.replicas if replica.service in declared)
    snapshot = replace(observed, replicas=replicas)
    running = {replica.id for replica in snapshot.replicas if replica.is_running}
    early = {replica: health for replica, health in checked().items() if replica in running}
    results = early | healths(engine, [replica for replica in snapshot.replicas if replica.id not in early])
    snapshot = replace(snapshot, replicas=tuple(replica for replica in replicas if replica.id in results))
    services = tuple(filter(engine.runs_here, engine.stack.services))
    is_crashing = any(health.is_crashing for health in results.values())
    previous = previous_release(engine) if is_crashing else ""
    status = summary(replace(engine.stack, services=services), engine.name, snapshot, results, previous)
    holder, half_done = engine.state.holder(), _half_done(snapshot)
    if status.ready and half_done and not holder:
        status = replace(status, ready=False, why=half_done)
    deployed = read_deploys(engine.state).latest
    unfinished = () if holder else completion.unfinished(engine.stack, snapshot)
    warnings = (*engine.notices(), *unfinished, *notices.of_status(engine, observed), *_of_schedules(engine, deployed))
    scheduler = engine.scheduler_state()
    return replace(
        status,
        deploy=str(holder or ""),
        warnings=warnings,
        deployed=deployed,
        scheduler=scheduler,
        machine=engine.machine,
    )


def _of_schedules(engine: Engine, deployed: Deploy | None) -> Iterator[str]:
    if any(job.schedules for job in engine.stack.jobs):
        from twelfth.schedule import heartbeat
        from twelfth.schedule.place import machine_zone

        now, heartbeats = datetime.now(UTC), heartbeat.read(engine.state)
        remedy = "invoke up" if engine.keeps_scheduler else "invoke schedule"
        is_new = deployed is not None and now - datetime.fromisoformat(deployed.at) < heartbeat.LATE
        if heartbeats or not is_new:
            yield from heartbeat.warnings(engine.stack.jobs, heartbeats, now, machine_zone(), remedy)


def _half_done(snapshot: Snapshot) -> str:
    # After an interrupted deploy, several releases of a service may run.
    releases: dict[str, set[str]] = {}
    for replica in snapshot.replicas:
        if replica.serves and replica.release:
            releases.setdefault(replica.service, set()).add(replica.release)
    for service, names in releases.items():
        if len(names) > 1:
            return f"{service} runs releases {' and '.join(sorted(names))}. To finish the deploy: invoke up"
    return ""


def summary(stack: Stack, engine: str, snapshot: Snapshot, healths: Mapping[str, Health], previous: str = "") -> Status:
    """Return the status of a stack from a snapshot and the health of its replicas, by their ids.

    All services of the given stack are expected on this engine. A healthcheck that passes and prints an `error` belongs
    to a running process that cannot answer requests now. A crash loop is reported before other reasons, with the
    `previous` release to go back to.
    """
    services = [*(service.name for service in stack.services), *(replica.service for replica in snapshot.replicas)]
    details = {name: value for health in healths.values() for name, value in health.details.items()}
    settled = completion.settled(stack, snapshot)
    unready = (
        _unready(replica, healths[replica.id])
        for replica in snapshot.replicas
        if replica.is_admitted
        and not healths[replica.id].is_ready
        and not (completion.is_done(stack, replica) or replica.service in settled)
    )
    crashing = (crash_loop(replica, previous) for replica in snapshot.replicas if healths[replica.id].is_crashing)
    reasons = [*crashing, *_missing(stack, snapshot, settled), *unready, str(details.get("error") or "")]
    why = next(filter(None, reasons), "")
    lasting = [replica for replica in snapshot.replicas if replica.service not in stack.completing]
    return Status(
        project=stack.project,
        engine=engine,
        address=address(stack, snapshot),
        ready=bool(healths) and not why,
        why=printable(why),
        release=_joined(replica.release for replica in lasting or snapshot.replicas),
        services=tuple(
            _service(name, stack, snapshot.replicas_of(name), healths) for name in dict.fromkeys(services) if healths
        ),
        details=details,
    )


def _unready(replica: Replica, health: Health) -> str:
    # The `error` that a service prints is shown as it is; other reasons are about one replica.
    return str(health.details.get("error") or f"{replica.name}: {health.complaint}")


def _missing(stack: Stack, snapshot: Snapshot, settled: Collection[str]) -> Iterator[str]:
    for service in (service for service in stack.services if service.name not in settled):
        replicas = snapshot.replicas_of(service.name)
        serving = sum(replica.serves or completion.is_done(stack, replica) for replica in replicas)
        if serving < service.replicas:
            yield f"{service.name} has {serving} of {service.replicas} replicas. Try: invoke up"


def _service(name: str, stack: Stack, replicas: tuple[Replica, ...], healths: Mapping[str, Health]) -> ServiceStatus:
    declared = stack.service(name)

    def is_ready(replica: Replica) -> bool:
        return completion.is_done(stack, replica) or (replica.is_admitted and healths[replica.id].is_ready)

    each = tuple(
        ReplicaStatus(replica.name, replica.state, is_ready(replica), replica.release, replica.restarts)
        for replica in replicas
    )
    return ServiceStatus(
        service=name,
        replicas=sum(replica.is_running for replica in replicas),
        ready=sum(replica.ready for replica in each),
        wanted=declared.replicas if declared else 0,
        state=_joined(replica.state for replica in replicas) or "missing",
        health=_joined(
            "done" if completion.is_done(stack, replica) else _health(healths[replica.id]) for replica in replicas
        ),
        release=_joined(replica.release for replica in replicas),
        restarts=sum(replica.restarts for replica in replicas),
        each=each,
    )


def _health(health: Health) -> str:
    return "crashing" if health.is_crashing else "ready" if health.is_ready else "not ready"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))


def require_up(engine: Engine, *, also_ended: bool = False) -> Snapshot:
    """Return a snapshot; raises `NotUpError` if no replica runs, or with `also_ended` if none exists."""
    snapshot = engine.observe()
    if not any(replica.is_running or also_ended for replica in snapshot.replicas):
        raise NotUpError(f"the stack {engine.stack.project} is not up. Try: invoke up")
    return snapshot


def require_address(engine: Engine) -> str:
    """Return the stack's URL.

    Raises `NotUpError` if no running replica publishes a port, `EngineError` if this machine cannot reach it.
    """
    if url := address(engine.stack, require_up(engine)):
        if is_elsewhere(url, engine.machine):
            why = f"only {engine.machine} itself has this address"
            raise EngineError(f"cannot request {url}: {why}. Try: ssh ssh://{engine.machine} curl -s {url}")
        return url
    raise NotUpError(f"no running replica of {engine.stack.project} publishes a port. Try: invoke status")


def address(stack: Stack, snapshot: Snapshot) -> str:
    """Return the stack's URL, "" if no running replica publishes a port."""
    replicas = (replica for replica in snapshot.replicas if replica.is_running and replica.address)
    published = {replica.service: replica.address for replica in replicas}
    return url(published.get(stack.ingress_of(published), ""))


def located(url: str, machine: str) -> str:
    """Return a URL with the machine on which alone it can be requested, if that is another one than this."""
    return f"{url} on {machine}" if is_elsewhere(url, machine) else url


def is_elsewhere(url: str, machine: str) -> bool:
    """Return whether a URL has a loopback address of another machine; `machine` is "" for this one."""
    return bool(url and machine) and urlsplit(url).hostname in {"127.0.0.1", "::1"}


def url(address: str) -> str:
    """Return `http://host:port` as this machine reaches it, "" for no address; loopback stands for all interfaces."""
    host, _, port = address.rpartition(":")
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    written = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{written}:{port}" if address else ""
