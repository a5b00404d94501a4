"""Which fires a scheduler starts, and which it only records as missed; pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from twelfth.model.job import ONE
from twelfth.schedule.fires import DueFire, due, of_name
from twelfth.schedule.heartbeat import LATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, tzinfo

    from twelfth.model.job import Job

CATCH_UP = timedelta(days=7)
"""How long ago a missed fire may have been due to be made up for."""

RECORDED = 100
"""Missed fires of a job that get a record each."""

KEPT = 20
"""Claims of a job that are kept: only its last fires are ever started."""

KEPT_FOR = CATCH_UP + timedelta(days=1)


@dataclass(frozen=True)
class Decision:
    """The fires to start, each with what happens while a run of its job is in progress, and those that were missed.

    `unrecorded` has the number of earlier fires of a job that were missed, too.
    """

    start: Mapping[DueFire, str] = field(default_factory=dict)
    missed: tuple[DueFire, ...] = ()
    unrecorded: Mapping[str, int] = field(default_factory=dict)


def decide(jobs: Iterable[Job], after: datetime, now: datetime, machine: tzinfo) -> Decision:
    """Return what to do about fires that are due later than `after` and not later than `now`."""
    start: dict[DueFire, str] = {}
    missed: list[DueFire] = []
    unrecorded: dict[str, int] = {}
    for job in jobs:
        late: set[DueFire] = set()
        for schedule in job.schedules:
            fires = [DueFire(job.name, minute) for minute in due(schedule, max(after, now - CATCH_UP), now, machine)]
            on_time = [fire for fire in fires if fire.minute > now - LATE]
            made_up = fires[-1:] if schedule.missed_fires == ONE else []
            for fire in on_time or made_up:
                start.setdefault(fire, schedule.concurrency)
            late |= set(fires)
        ordered = sorted(late - start.keys(), key=lambda fire: fire.minute)
        missed += ordered[-RECORDED:]
        if len(ordered) > RECORDED:
            unrecorded[job.name] = len(ordered) - RECORDED
    return Decision(dict(sorted(start.items(), key=lambda item: item[0].minute)), tuple(missed), unrecorded)


def expired(names: Iterable[str], now: datetime) -> list[str]:
    """Return the claims that are no longer needed: they are old, or their job has had many fires since."""
    claims = defaultdict(list)
    for name in names:
        if fire := of_name(name):
            claims[fire.job].append(fire)
    ordered = [sorted(fires, key=lambda fire: fire.minute, reverse=True) for fires in claims.values()]
    return [
        fire.name
        for fires in ordered
        for number, fire in enumerate(fires)
        if number >= KEPT or fire.minute < now - KEPT_FOR
    ]
