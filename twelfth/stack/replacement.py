"""Replace a replica in place: stop it, start the new one, and restore the old one if that fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.errors import EngineError
from twelfth.stack.at_once import Tasks
from twelfth.stack.interrupts import uninterrupted
from twelfth.stack.readiness import FIX, watch

if TYPE_CHECKING:
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Replica
    from twelfth.stack.replicas import Replicas


def replace_replica(replicas: Replicas, service: Service, number: int, old: Replica, *, is_watched: bool) -> None:
    """Replace a replica in place, or continue an interrupted replacement; if it fails, restore the old one.

    If this is interrupted at any point, a restart of the engine starts at most one of the two replicas.
    """
    new = _replacement_of(replicas, old)
    old_ran = old.is_running or new is not None
    replicas.pre_stop(old)
    new = new or replicas.engine.prepare_replica(service, number, old)
    try:
        with replicas.warn_if_slow(old):
            replicas.engine.retire_replica(old)
        replicas.engine.start_replica(new)
        replicas.post_start(new, f"{old.name} is restored" if old_ran else "")
        replica = replicas.numbered(service, number)
        replicas.admit(replica, Tasks(replicas.report.detail), old if old_ran else None)
        if old_ran and is_watched:
            _watch_replacement(replicas, service, number, old)
    except BaseException:
        going_back = f"{old.name} is restored" if old_ran else f"{service.name}-{number} is removed"
        with uninterrupted(replicas.report.detail, going_back):
            _restore(replicas, old, starts=old_ran)
        raise
    replicas.engine.remove_replica(old)


def _restore(replicas: Replicas, old: Replica, *, starts: bool) -> None:
    """Remove the replacement of a replica, and start the replica again if it was running."""
    if starts:
        replicas.engine.stop_replica(old)  # wait, in case it is still stopping
    if new := _replacement_of(replicas, old):
        replicas.engine.remove_replica(new)
    if starts:
        replicas.engine.start_replica(old)
        replicas.report_post_start(old)


def _watch_replacement(replicas: Replicas, service: Service, number: int, old: Replica) -> None:
    """Watch a replica while the one that it replaces can still be restored."""
    new = replace(replicas.numbered(service, number), restarts=0)
    try:
        watch(replicas.engine, [new], service.monitor)
    except EngineError as error:
        replicas.show_last_lines(new)
        raise EngineError(f"{error}; {old.name} is restored. {FIX}") from error


def _replacement_of(replicas: Replicas, old: Replica) -> Replica | None:
    """Return the replica that was prepared to replace another one."""
    return next((replica for replica in replicas.engine.replicas(old.service) if replica.replaces == old.id), None)
