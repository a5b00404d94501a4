"""Decide the steps that stop, start and restart the replicas of chosen services as they exist; pure.

Nothing is created or replaced: `up` does that. Dependents are stopped before their dependencies, and started after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.errors import MisuseError, NotUpError
from twelfth.stack.steps import StartReplica, StopReplica

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twelfth.model.snapshot import Replica, Snapshot
    from twelfth.model.stack import Service, Stack
    from twelfth.stack.steps import Step


def stop(stack: Stack, snapshot: Snapshot, names: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that stop the running replicas of services."""
    services = _chosen(stack, snapshot, names, "stop")
    return tuple(
        StopReplica(replica, "stop")
        for service in reversed(services)
        for replica in reversed(snapshot.replicas_of(service.name))
        if replica.is_running
    )


def start(stack: Stack, snapshot: Snapshot, names: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that start the replicas of services that are stopped."""
    return tuple(
        StartReplica(service, replica, replica.state, is_kept=True)
        for service in _chosen(stack, snapshot, names, "start")
        for replica in snapshot.replicas_of(service.name)
        if replica.is_stopped and not _is_done(stack, replica)
    )


def restart(stack: Stack, snapshot: Snapshot, names: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that stop and start the replicas of services, one after the other; stopped ones are started."""
    services = _chosen(stack, snapshot, names, "restart")
    return tuple(step for service in services for step in _restart(stack, service, snapshot))


def _restart(stack: Stack, service: Service, snapshot: Snapshot) -> Iterator[Step]:
    for replica in snapshot.replicas_of(service.name):
        if replica.serves and service.name not in stack.completing:
            yield StopReplica(replica, "restart")
            yield StartReplica(service, replica, "restart", is_kept=True)
        elif replica.is_stopped and not _is_done(stack, replica):
            yield StartReplica(service, replica, replica.state, is_kept=True)


def _chosen(stack: Stack, snapshot: Snapshot, names: Sequence[str], verb: str) -> list[Service]:
    """Return the services in the order of their dependencies, by default all that have replicas."""
    existing = {replica.service for replica in snapshot.replicas}
    for name in names:
        if stack.service(name) is None:
            known = ", ".join(service.name for service in stack.services)
            raise MisuseError(f"cannot {verb} {name}: there is no such service, only {known}. Try: invoke ps --all")
    if missing := [name for name in names if name not in existing]:
        raise NotUpError(f"cannot {verb} {missing[0]}: it has no replicas. Try: invoke up")
    if not existing:
        raise NotUpError(f"cannot {verb} the services of {stack.project}: it is not up. Try: invoke up")
    if snapshot.rolls_services:
        name = names[0] if names else stack.services[0].name
        raise MisuseError(_on_swarm(stack, name, verb))
    chosen = set(names) or existing
    return [service for service in stack.services if service.name in chosen]


def _on_swarm(stack: Stack, name: str, verb: str) -> str:
    service = f"{stack.project}_{name}"
    commands = {
        "stop": f"docker service scale {service}=0",
        "start": "invoke up",
        "restart": f"docker service update --force {service}",
    }
    return f"cannot {verb} {name}: Swarm starts the tasks of a service by itself. Try: {commands[verb]}"


def _is_done(stack: Stack, replica: Replica) -> bool:
    return replica.service in stack.completing and replica.has_completed
