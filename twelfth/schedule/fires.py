"""When jobs are due: crontab expressions in time zones; pure.

Daylight saving is handled as Debian's cron does (man 8 cron). A fire at a fixed time that the clock skips comes right
after the change; one in an hour that is repeated comes once. Expressions whose minute or hour starts with `*` follow
the clock.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo

    from twelfth.model.job import Job, Schedule

FIELDS = 5
MINUTE = timedelta(minutes=1)

NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Names of expressions, as in man 5 crontab."""

EXAMPLE = "write five fields such as 30 3 * * *, or @daily"


@dataclass(frozen=True)
class DueFire:
    """A job that is due at a minute, which is in UTC."""

    job: str
    minute: datetime

    def run_id(self, project: str) -> str:
        """Return the id of the run that this fire starts, the same for every scheduler of a stack."""
        return hashlib.sha256(f"{project}/{self.name}".encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The name under which a scheduler claims the fire."""
        return f"{self.job}-{self.minute:%Y%m%dT%H%M}Z"


def of_name(name: str) -> DueFire | None:
    """Return the fire that was claimed under a name, None if it is not the name of one."""
    job, _, minute = name.rpartition("-")
    try:
        return DueFire(job, datetime.strptime(minute, "%Y%m%dT%H%MZ").replace(tzinfo=UTC))
    except ValueError:
        return None


def due(schedule: Schedule, after: datetime, until: datetime, machine: tzinfo) -> list[datetime]:
    """Return the minutes in UTC at which a schedule fires, later than `after` and not later than `until`.

    `machine` is the time zone of this machine.
    """
    if until <= after:
        return []
    return [*itertools.takewhile(lambda minute: minute <= until, _minutes(schedule, after, machine))]


def upcoming(job: Job, now: datetime, count: int, machine: tzinfo) -> list[tuple[datetime, Schedule]]:
    """Return the next minutes in UTC at which a job is due, each with the first of its schedules that fires then."""
    schedules: dict[datetime, Schedule] = {}
    for schedule in job.schedules:
        for minute in itertools.islice(_minutes(schedule, now, machine), count):
            schedules.setdefault(minute, schedule)
    return sorted(schedules.items(), key=lambda pair: pair[0])[:count]


def zone(schedule: Schedule, machine: tzinfo) -> tzinfo:
    """Return the time zone of a schedule; raises `ValueError` or `OSError` if it is unknown."""
    if schedule.timezone in {"UTC", "Etc/UTC"}:  # also without time zone data
        return UTC
    try:
        return ZoneInfo(schedule.timezone) if schedule.timezone else machine
    except KeyError as error:
        raise ValueError(schedule.timezone) from error


def refusals(jobs: Iterable[Job], now: datetime) -> list[str]:
    """Return an error for each expression that is invalid or never due, and for each unknown time zone."""
    at = [
        (f"jobs.{job.name}.triggers.schedule[{index}]", schedule)
        for job in jobs
        for index, schedule in enumerate(job.schedules)
    ]
    return [refusal for path, schedule in at if (refusal := _refusal(path, schedule, now))]


def _refusal(path: str, schedule: Schedule, now: datetime) -> str:
    try:
        zone(schedule, UTC)
    except (ValueError, OSError):
        remedy = "write a name such as Europe/Berlin, or install time zone data: pip install tzdata"
        return f"{path}.timezone is {schedule.timezone}, which is unknown on this machine. Try: {remedy}"
    try:
        is_due = next(_minutes(schedule, now, UTC), None)
    except ValueError as error:
        return f"{path}.cron is {schedule.cron} ({error}). Try: {EXAMPLE}"
    return "" if is_due else f"{path}.cron is {schedule.cron}, a date that never comes. Try: {EXAMPLE}"


def _minutes(schedule: Schedule, after: datetime, machine: tzinfo) -> Iterator[datetime]:
    """Yield the minutes in UTC at which a schedule fires after a moment; raises `ValueError` if it is invalid."""
    from cronsim import CronSim, CronSimError

    expression, place = NAMED.get(schedule.cron, schedule.cron), zone(schedule, machine)
    fields = expression.split()
    if len(fields) != FIELDS:
        raise ValueError(f"it does not have {FIELDS} fields")
    local, last = after.astimezone(place).replace(second=0, microsecond=0), after
    follows_clock = any(field.startswith("*") for field in fields[:2])
    try:
        moments = _following_clock(expression, local, place) if follows_clock else CronSim(expression, local)
        for moment in moments:
            minute = moment.astimezone(UTC)
            if minute > last:  # several that the clock skips come at one minute; some of a repeated hour are over
                yield minute
                last = minute
    except CronSimError as error:
        raise ValueError(str(error).replace("Bad", "invalid")) from error


def _following_clock(expression: str, after: datetime, place: tzinfo) -> Iterator[datetime]:
    """Compute with one offset at a time: CronSim 2.8 goes by whole hours, and some clocks change by half an hour."""
    from cronsim import CronSim

    change: datetime | None = after.astimezone(UTC) + MINUTE
    while change:
        start, change = change, None
        offset = start.astimezone(place).utcoffset() or timedelta()
        for moment in CronSim(expression, (start - MINUTE).astimezone(timezone(offset))):
            if moment.astimezone(place).utcoffset() != offset:
                change = _next_change(start, moment, place)
                break
            yield moment


def _next_change(start: datetime, end: datetime, place: tzinfo) -> datetime:
    """Return the first minute that has another offset than `start`."""
    offset, minutes = start.astimezone(place).utcoffset(), range((end - start) // MINUTE + 1)

    def is_other(number: int) -> bool:
        return (start + number * MINUTE).astimezone(place).utcoffset() != offset

    return start + bisect.bisect_left(minutes, x=True, key=is_other) * MINUTE
