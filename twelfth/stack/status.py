"""How a stack is now: what runs, where it answers, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twelfth.errors import NotUpError
from twelfth.stack.readiness import asked, reason, url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica, Snapshot
    from twelfth.model.stack import Stack
    from twelfth.stack.readiness import Readiness


@dataclass(frozen=True)
class ServiceStatus:
    """One service; `replicas` counts those that run, `wanted` those that the Compose file asks for."""

    service: str
    replicas: int
    wanted: int
    state: str
    health: str
    release: str


@dataclass(frozen=True)
class Status:
    """A stack; `why` is why it is not ready."""

    project: str
    engine: str
    address: str
    ready: bool
    why: str
    release: str
    revision: str
    since: str
    services: tuple[ServiceStatus, ...]


def status(engine: Engine) -> Status:
    """Return how the stack is now; asks it over HTTP."""
    snapshot = engine.observe()
    found = asked(snapshot)
    return summary(engine.stack, engine.name, snapshot, replace(found, why=reason(engine, snapshot, found)))


def summary(stack: Stack, engine: str, snapshot: Snapshot, found: Readiness) -> Status:
    """Return the status that a snapshot, and what the stack says of itself, come to."""
    names = dict.fromkeys([*(one.name for one in stack.services), *(one.service for one in snapshot.replicas)])
    return Status(
        project=stack.project,
        engine=engine,
        address=url(snapshot.address) if snapshot.address else "",
        ready=found.ready,
        why=found.why,
        release=_joined(one.release for one in snapshot.replicas),
        revision=found.revision,
        since=found.since,
        services=tuple(_service(name, stack, snapshot.of(name)) for name in names if snapshot.of(name)),
    )


def _service(name: str, stack: Stack, replicas: tuple[Replica, ...]) -> ServiceStatus:
    declared = stack.service(name)
    return ServiceStatus(
        service=name,
        replicas=sum(one.is_running for one in replicas),
        wanted=declared.replicas if declared else 0,
        state=_joined(one.state for one in replicas),
        health=_joined(one.health for one in replicas),
        release=_joined(one.release for one in replicas),
    )


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))


def require_up(engine: Engine) -> Snapshot:
    """Return what is there; raises `NotUpError` where nothing of the stack runs."""
    snapshot = engine.observe()
    if not any(replica.is_running for replica in snapshot.replicas):
        raise NotUpError(f"the stack {engine.stack.project} is not up; try: invoke up")
    return snapshot


def require_address(engine: Engine) -> str:
    """Return the URL where the stack answers; raises `NotUpError` where nothing that runs publishes a port."""
    if address := require_up(engine).address:
        return url(address)
    raise NotUpError(f"nothing of {engine.stack.project} that runs answers visitors; see: invoke status")
