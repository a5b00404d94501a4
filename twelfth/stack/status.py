"""How a stack is now: what runs, where it answers, and what its healthchecks say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from twelfth.errors import NotUpError
from twelfth.stack import notices
from twelfth.stack.deploy_record import read_deploys
from twelfth.stack.formatting import printable
from twelfth.stack.lock import holder
from twelfth.stack.readiness import crash_loop, healths
from twelfth.stack.release_history import previous_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Health, Replica, Snapshot
    from twelfth.model.stack import Stack
    from twelfth.stack.deploy_record import Deploy


@dataclass(frozen=True)
class ReplicaStatus:
    """One replica; `restarts` counts how often it had to be started again."""

    name: str
    state: str
    ready: bool
    release: str
    restarts: int


@dataclass(frozen=True)
class ServiceStatus:
    """One service; `replicas` counts those that run, `ready` those that serve, `wanted` those that are asked for."""

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
    """A stack; `why` is the first reason for which it is not ready, `details` what its healthchecks print as JSON.

    `deploy` names who is changing it now, on this machine; `deployed` is its last deploy from this directory;
    `warnings` are differences from the Compose file that do not affect readiness.
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
    deployed: Deploy | None = None


def status(engine: Engine, checked: Callable[[], Mapping[str, Health]] = dict) -> Status:
    """Return the stack's status after running the healthcheck of every replica.

    `checked` returns the results of those that this command has run already, by the replicas' ids.
    Replicas that are removed meanwhile are omitted. Those of services that the stack does not declare only cause a
    warning.
    """
    observed = engine.observe()
    declared = {service.name for service in engine.stack.services}
    snapshot = replace(observed, replicas=tuple(each for each in observed.replicas if each.service in declared))
    running = {replica.id for replica in snapshot.replicas if replica.is_running}
    early = {identity: health for identity, health in checked().items() if identity in running}
    results = early | healths(engine, [replica for replica in snapshot.replicas if replica.id not in early])
    snapshot = replace(snapshot, replicas=tuple(each for each in snapshot.replicas if each.id in results))
    here = tuple(filter(engine.runs_here, engine.stack.services))
    is_crashing = any(health.is_crashing for health in results.values())
    previous = previous_release(engine) if is_crashing else ""
    found = summary(replace(engine.stack, services=here), engine.name, snapshot, results, previous)
    deploy, half_done = holder(engine.stack), _half_done(snapshot)
    if found.ready and half_done and not deploy:
        found = replace(found, ready=False, why=half_done)
    deploys, warnings = read_deploys(engine.stack).deployed, tuple(notices.of_status(engine, observed))
    return replace(found, deploy=deploy, warnings=warnings, deployed=deploys[-1] if deploys else None)


def _half_done(snapshot: Snapshot) -> str:
    """Return what is left of a deploy that was not finished: a service of which several releases serve."""
    releases: dict[str, set[str]] = {}
    for each in snapshot.replicas:
        if each.serves and each.release:
            releases.setdefault(each.service, set()).add(each.release)
    found = (f"{name} serves releases {' and '.join(sorted(each))}" for name, each in releases.items() if len(each) > 1)
    return next((f"{each}; finish the deploy: invoke up" for each in found), "")


def summary(stack: Stack, engine: str, snapshot: Snapshot, healths: Mapping[str, Health], previous: str = "") -> Status:
    """Return the status that a snapshot and the health of its replicas, by their ids, come to.

    All services of the stack are to run on this engine; one that has fewer replicas than wanted is not ready.

    A healthcheck that passes and prints an `error` belongs to a live process that cannot serve at the moment. A crash
    loop is reported before any other reason; `previous` is the release to go back to then.
    """
    names = dict.fromkeys([*(one.name for one in stack.services), *(one.service for one in snapshot.replicas)])
    details = {name: value for health in healths.values() for name, value in health.details.items()}
    unready = (
        healths[one.id].reason or "its healthcheck fails"
        for one in snapshot.replicas
        if one.is_admitted and not healths[one.id].is_ready and not _is_done(stack, one)
    )
    crashing = (crash_loop(one, previous) for one in snapshot.replicas if healths[one.id].is_crashing)
    reasons = [*crashing, *_missing(stack, snapshot), *unready, str(details.get("error") or "")]
    why = next(filter(None, reasons), "")
    return Status(
        project=stack.project,
        engine=engine,
        address=address(stack, snapshot),
        ready=bool(healths) and not why,
        why=printable(why),
        release=_joined(one.release for one in snapshot.replicas),
        services=tuple(_service(name, stack, snapshot.replicas_of(name), healths) for name in names if healths),
        details=details,
    )


def _missing(stack: Stack, snapshot: Snapshot) -> Iterator[str]:
    """Yield what is missing of the replicas that are wanted, a text a service."""
    for one in stack.services:
        serving = sum(each.serves or _is_done(stack, each) for each in snapshot.replicas_of(one.name))
        if serving < one.replicas:
            yield f"{one.name} has {serving} of {one.replicas} replicas; try: invoke up"


def _is_done(stack: Stack, replica: Replica) -> bool:
    """Return whether a replica had only to end, and did so well."""
    return replica.service in stack.completing and replica.has_completed


def _service(name: str, stack: Stack, replicas: tuple[Replica, ...], healths: Mapping[str, Health]) -> ServiceStatus:
    declared = stack.service(name)

    def is_ready(replica: Replica) -> bool:
        return _is_done(stack, replica) or (replica.is_admitted and healths[replica.id].is_ready)

    each = tuple(ReplicaStatus(one.name, one.state, is_ready(one), one.release, one.restarts) for one in replicas)
    return ServiceStatus(
        service=name,
        replicas=sum(one.is_running for one in replicas),
        ready=sum(one.ready for one in each),
        wanted=declared.replicas if declared else 0,
        state=_joined(one.state for one in replicas) or "missing",
        health=_joined("done" if _is_done(stack, one) else _health(healths[one.id]) for one in replicas),
        release=_joined(one.release for one in replicas),
        restarts=sum(one.restarts for one in replicas),
        each=each,
    )


def _health(health: Health) -> str:
    return "crashing" if health.is_crashing else "ready" if health.is_ready else "not ready"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))


def require_up(engine: Engine, *, also_ended: bool = False) -> Snapshot:
    """Return what is there; raises `NotUpError` where nothing of the stack runs, or is there `also_ended`."""
    snapshot = engine.observe()
    if not any(replica.is_running or also_ended for replica in snapshot.replicas):
        raise NotUpError(f"the stack {engine.stack.project} is not up; try: invoke up")
    return snapshot


def require_address(engine: Engine) -> str:
    """Return the URL where the stack answers; raises `NotUpError` where nothing that runs publishes a port."""
    if found := address(engine.stack, require_up(engine)):
        return found
    raise NotUpError(f"nothing of {engine.stack.project} that runs answers visitors; see: invoke status")


def address(stack: Stack, found: Snapshot) -> str:
    """Return the URL where a stack's visitors are answered now, "" where nothing that runs publishes a port."""
    published = {one.service: one.address for one in found.replicas if one.is_running and one.address}
    return url(published.get(stack.ingress_of(published), ""))


def url(address: str) -> str:
    """Return `http://host:port` as this machine reaches it, "" for no address; every interface is loopback here."""
    host, _, port = address.rpartition(":")
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    written = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{written}:{port}" if address else ""
