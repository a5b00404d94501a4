"""Services that run to completion, and which of them still matter; pure.

Other services wait for them (`depends_on.NAME.condition: service_completed_successfully`) before they start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.model.service import SERVICE_COMPLETED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twelfth.model.snapshot import Replica, Snapshot
    from twelfth.model.stack import Stack


def is_done(stack: Stack, replica: Replica) -> bool:
    """Return whether a replica of a service that runs to completion has exited with 0."""
    return replica.service in stack.completing and replica.has_completed


def settled(stack: Stack, snapshot: Snapshot) -> list[str]:
    """Return the services that run to completion and that no service waits for, since all of those have started."""

    def is_awaited(name: str) -> bool:
        dependents = [service.name for service in stack.services if (name, SERVICE_COMPLETED) in service.conditions]
        return not all(map(has_started, dependents))

    def has_started(name: str) -> bool:
        replicas = snapshot.replicas_of(name)
        if name in stack.completing:
            return any(replica.has_completed for replica in replicas) or not is_awaited(name)
        return any(replica.serves for replica in replicas)

    names = (service.name for service in stack.services if service.name in stack.completing)
    return [name for name in names if not is_awaited(name)]


def unfinished(stack: Stack, snapshot: Snapshot) -> Iterator[str]:
    """Yield a warning for each such replica that a later deploy has created, which is not that of the running release.

    `rollout.complete` replaces it before the services that wait for it, and these stay if it fails.
    """
    running = dict.fromkeys(replica.release for replica in snapshot.replicas if replica.serves and replica.release)
    rest = f"release {' and '.join(running)} is running" if running else "the earlier replicas are running"
    for replica in (replica for name in settled(stack, snapshot) for replica in snapshot.replicas_of(name)):
        if not replica.has_completed or (running and replica.release not in {"", *running}):
            state = ", ".join(filter(None, (replica.state, replica.release and f"release {replica.release}")))
            yield f"{replica.name} ({state}) is from a deploy that did not finish; {rest}. Try: invoke up"
