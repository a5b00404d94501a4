"""Watch new replicas and reloaded ones, and go back to what was running before if they fail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from twelfth.errors import EngineError
from twelfth.stack import readiness
from twelfth.stack.draining import drained
from twelfth.stack.interrupts import uninterrupted
from twelfth.stack.readiness import FIX, still_running, wait_until_ready
from twelfth.stack.rollout import free_numbers

if TYPE_CHECKING:
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Replica
    from twelfth.stack.replicas import Replicas
    from twelfth.stack.steps import WatchReplicas


def watch_replicas(replicas: Replicas, step: WatchReplicas) -> None:
    """Watch new replicas; if one fails, remove all of them and re-create the old ones that were removed."""
    new = [replace(replicas.numbered(step.service, number), restarts=count) for number, count in step.restarts]
    try:
        readiness.watch(replicas.engine, new, step.service.monitor)
    except EngineError as error:
        with uninterrupted(replicas.report.detail, "the previous replicas are restored"):
            _go_back(replicas, new, step.removed)
        rest = still_running(replicas.engine.replicas(step.service.name), new[0])
        raise EngineError(f"{error}; the new replicas were removed, {rest}. {FIX}") from error


def _go_back(replicas: Replicas, new: list[Replica], removed: int) -> None:
    """Clone an old replica once for each old one that was removed, then remove the new ones."""
    for replica in new:
        replicas.show_last_lines(replica)
    engine = replicas.engine
    existing = engine.replicas(new[0].service)
    ids = {replica.id for replica in new}
    old = next((replica for replica in existing if replica.serves and replica.id not in ids), None)
    numbers = free_numbers(existing)
    for number in (next(numbers) for _ in range(removed if old else 0)):
        clone = engine.clone_replica(cast("Replica", old), number)
        replicas.report_post_start(clone)
        wait_until_ready(engine, clone, replicas.within)
        engine.admit_replica(clone)
    with drained(engine, new, replicas.report.detail):
        for replica in new:
            engine.remove_replica(replica)


def reload_replica(replicas: Replicas, service: Service, replica: Replica) -> None:
    """Reload a replica and watch it; if that makes it unready, restore its previous configuration.

    A replica that was not ready before keeps the new configuration, which may be the fix.
    """
    was_ready = replicas.engine.check_health(replica).is_ready
    replicas.engine.reload_replica(service, replica)
    try:
        wait_until_ready(replicas.engine, replica, replicas.within)
        readiness.watch(replicas.engine, [replica], service.monitor)
    except EngineError as error:
        is_restored = was_ready and replicas.engine.restore_configuration(service, replica)
        rest = "its previous configuration is restored" if is_restored else "it keeps its new configuration"
        raise EngineError(f"{error}; {rest}. {FIX}") from error
