"""Decide the steps that stop, start and restart the replicas of chosen services as they exist; pure.

Nothing is created or replaced: `up` does that. Dependents are stopped before their dependencies, and started after.
Services that hold on to the replicas of others, such as their network, are restarted after them.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError, NotUpError
from twelfth.stack.completion import is_done
from twelfth.stack.steps import StartReplica, StopReplica

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twelfth.model.service import Service
    from twelfth.model.snapshot import Replica, Snapshot
    from twelfth.model.stack import Stack
    from twelfth.stack.steps import Step


def stop(stack: Stack, snapshot: Snapshot, names: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that stop the running replicas of services."""
    services = _chosen(stack, snapshot, names, "stop")
    return tuple(
        StopReplica(replica, "stop")
        for service in reversed(services)
        for replica in reversed(snapshot.replicas_of(service.name))
        if _is_active(replica)
    )


def start(stack: Stack, snapshot: Snapshot, names: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that start the replicas of services that are stopped."""
    services = _chosen(stack, snapshot, names, "start")
    steps = {service.name: _start(stack, service, snapshot) for service in services}
    return (*itertools.chain(*steps.values()), *_restart_followers(stack, snapshot, steps))


def restart(stack: Stack, snapshot: Snapshot, names: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that stop and start the replicas of services, one after the other; stopped ones are started."""
    services = _chosen(stack, snapshot, names, "restart")
    steps = {
        service.name: (*_restart(stack, service, snapshot, "restart"), *_start(stack, service, snapshot))
        for service in services
    }
    return (*itertools.chain(*steps.values()), *_restart_followers(stack, snapshot, steps))


def _start(stack: Stack, service: Service, snapshot: Snapshot) -> tuple[Step, ...]:
    replicas = snapshot.replicas_of(service.name)
    # A killed `up` may have stopped a replica and started its replacement, which has the same data.
    replaced = {replica.replaces for replica in replicas if _is_active(replica) or replica.is_stopped}
    return tuple(
        StartReplica(service, replica, replica.state, is_kept=True)
        for replica in replicas
        if replica.is_stopped and replica.id not in replaced and not is_done(stack, replica)
    )


def _restart(stack: Stack, service: Service, snapshot: Snapshot, cause: str) -> Iterator[Step]:
    for replica in snapshot.replicas_of(service.name):
        if _is_active(replica) and replica.is_admitted and service.name not in stack.completing:
            yield StopReplica(replica, cause)
            yield StartReplica(service, replica, cause, is_kept=True)


def _restart_followers(stack: Stack, snapshot: Snapshot, steps: Mapping[str, Sequence[Step]]) -> Iterator[Step]:
    changed = {name for name, changes in steps.items() if changes}
    for service in stack.services:
        if service.name not in changed and (followed := sorted(changed.intersection(service.follows))):
            changed.add(service.name)
            yield from _restart(stack, service, snapshot, f"follows {', '.join(followed)}")


def _is_active(replica: Replica) -> bool:
    """Return whether a replica has a process, or gets one again: it is paused, or restarted after a crash."""
    return replica.is_running or replica.state in {"paused", "restarting"}


def _chosen(stack: Stack, snapshot: Snapshot, names: Sequence[str], verb: str) -> list[Service]:
    """Return the services in the order of their dependencies, by default all that have replicas."""
    existing = {replica.service for replica in snapshot.replicas}
    for name in names:
        if stack.service(name) is None:
            known = ", ".join(service.name for service in stack.services)
            raise MisuseError(
                f"cannot {verb} {name}: there is no such service; there are {known}. Try: invoke ps --all"
            )
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
