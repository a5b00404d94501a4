"""Show when jobs are due next, and their last runs: as a table, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from twelfth.cli.views import age, json_values, table_of, to_json
from twelfth.hints import as_typed
from twelfth.schedule.fires import zone

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime, tzinfo

    from twelfth.model.job import Job, Schedule
    from twelfth.model.record import Record


@dataclass(frozen=True)
class Plan:
    """A job, its next fires with their schedules, and the record of its last run."""

    job: Job
    fires: Sequence[tuple[datetime, Schedule]]
    last: Record | None


def table(plans: Collection[Plan], now: datetime, machine: tzinfo, width: int | None = None) -> str:
    """Return the plans as a table for people, with a line for each fire, cut to fit a terminal of that width."""
    if not plans:
        return as_typed("no job has a schedule. Try: invoke config")
    rows = []
    for plan in plans:
        for number, (minute, schedule) in enumerate(plan.fires):
            name, last = (plan.job.name, _outcome(plan.last, now)) if number == 0 else ("", "")
            rows.append((name, _local(minute, schedule, machine), schedule.cron, last))
    return table_of(("JOB", "NEXT", "SCHEDULE", "LAST RUN"), rows, ("LAST RUN",), width)


def as_json(plans: Collection[Plan], machine: tzinfo) -> str:
    """Return the plans as a JSON array."""
    return to_json(
        [
            {
                "job": plan.job.name,
                "schedules": [asdict(schedule) for schedule in plan.job.schedules],
                "next": [minute.astimezone(zone(schedule, machine)).isoformat() for minute, schedule in plan.fires],
                "last": json_values(plan.last) if plan.last else None,
            }
            for plan in plans
        ]
    )


def _local(minute: datetime, schedule: Schedule, machine: tzinfo) -> str:
    return minute.astimezone(zone(schedule, machine)).isoformat(sep=" ", timespec="minutes")


def _outcome(record: Record | None, now: datetime) -> str:
    if record is None:
        return "-"
    code = f" {record.exit_code}" if record.exit_code else ""
    why = f": {record.error}" if record.error else ""
    return f"{record.state}{code} {age(record.started, now)} ago ({record.id}){why}"
