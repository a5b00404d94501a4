"""Decide when a rollout watches its new replicas, to find a release that crashes after a while; pure.

New replicas are watched before the first and before the last removal of an old one. Until then a replica of the
previous release is still running, and can be restored.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.stack.rollout import can_have
from twelfth.stack.steps import AdmitReplica, RemoveReplica, ReplaceReplica, WatchReplicas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe, Snapshot
    from twelfth.stack.steps import Restarts, Step


def watched(service: Service, snapshot: Snapshot, recipe: Recipe, steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps that roll a service, with steps in between that watch its new replicas."""
    steps = tuple(steps)
    serving = _serving(service, snapshot, recipe)  # an interrupted `up` may have admitted the new replicas already
    new = [_admitted(steps[:place]) or serving for place in range(len(steps))]
    previous = _previous(service, snapshot, recipe)
    removals = [place for place, step in enumerate(steps) if new[place] and _removed(step) in previous]
    in_place = [place for place, step in enumerate(steps) if isinstance(step, ReplaceReplica)]
    for place, step in enumerate(steps):
        if place in removals[:1] + removals[-1:]:
            cause = f"before the old {step.replica.name} is removed" if isinstance(step, RemoveReplica) else ""
            yield WatchReplicas(service, new[place], removals.index(place), cause)
        if isinstance(step, ReplaceReplica) and place in in_place[:1] + in_place[-1:]:
            yield replace(step, is_watched=True)
        else:
            yield step


def _previous(service: Service, snapshot: Snapshot, recipe: Recipe) -> set[str]:
    # One that replaces another, which still exists, is from a later deploy that was interrupted.
    replicas = snapshot.replicas_of(service.name)
    ids = {replica.id for replica in replicas}
    serving = (replica for replica in replicas if replica.serves and not can_have(service, recipe, replica))
    return {replica.id for replica in serving if replica.replaces not in ids}


def _removed(step: Step) -> str:
    return step.replica.id if isinstance(step, RemoveReplica) else ""


def _admitted(steps: Iterable[Step]) -> Restarts:
    return tuple((step.number, 0) for step in steps if isinstance(step, AdmitReplica))


def _serving(service: Service, snapshot: Snapshot, recipe: Recipe) -> Restarts:
    replicas = snapshot.replicas_of(service.name)
    admitted = (replica for replica in replicas if replica.serves and can_have(service, recipe, replica))
    return tuple((replica.number, replica.restarts) for replica in admitted)
