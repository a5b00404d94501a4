"""When jobs are due, in a simulated year, compared with the rules of Debian's cron."""

from __future__ import annotations

import functools
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from twelfth.model.job import Changes, Job, Schedule
from twelfth.model.service import Service
from twelfth.schedule.fires import DueFire, due, of_name, upcoming

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = timedelta(minutes=30)
"""The offset of a time zone does not change within it."""

YEAR = datetime(2028, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
"""A leap year."""

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
"""The last one changes its clock by half an hour."""

EXPRESSIONS = (
    "30 2 * * *",
    "0,15,59 1-3 * * *",
    "*/20 2 * * *",
    "5 */6 * * *",
    "0 0 29 2 *",
    "45 1,2 1-7 3,4,10,11 0",  # a day of the month or a weekday
    "10 3 */2 * 7",  # an odd day and a Sunday
)


def values(field: str, least: int, most: int) -> frozenset[int]:
    """Return the values of a field of a crontab, by man 5 crontab."""
    matches: set[int] = set()
    for part in field.split(","):
        interval, _, step = part.partition("/")
        first, _, last = interval.partition("-")
        low, high = (least, most) if interval == "*" else (int(first), int(last or first))
        matches |= set(range(low, high + 1, int(step or 1)))
    return frozenset(matches)


class Crontab:
    """One line of a crontab."""

    def __init__(self, expression: str) -> None:
        """Parse the fields."""
        minute, hour, day, month, weekday = expression.split()
        self.minutes, self.hours = values(minute, 0, 59), values(hour, 0, 23)
        self.days, self.months = values(day, 1, 31), values(month, 1, 12)
        self.weekdays = frozenset(number % 7 for number in values(weekday, 0, 7))
        self.is_wild = minute.startswith("*") or hour.startswith("*")
        self.needs_both = day.startswith("*") or weekday.startswith("*")

    def matches(self, local: datetime) -> bool:
        """Return whether the job is due at a local time."""
        days = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        is_day = all(days) if self.needs_both else any(days)
        is_time = local.minute in self.minutes and local.hour in self.hours
        return is_time and is_day and local.month in self.months


@functools.cache
def blocks(zone: str) -> list[tuple[datetime, datetime]]:
    """Return the start of each half hour of the year, in UTC and in local time."""
    start, end = YEAR
    moments = [start + number * BLOCK for number in range((end - start) // BLOCK)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in moments]


def cron(crontab: Crontab, zone: str) -> Iterator[datetime]:
    """Yield when Debian's cron starts a job, as `cron.c` does it: it keeps a virtual time next to that of the clock.

    If the clock jumps forward, jobs at fixed times are started for each minute that is skipped. If it jumps back, they
    wait until it reaches the virtual time again. Other jobs follow the clock.
    """
    minute = timedelta(minutes=1)
    virtual = blocks(zone)[0][1] - minute
    for moment, local in blocks(zone):
        if not crontab.is_wild and local - virtual > minute:
            skipped = int((local - virtual) / minute)
            if any(crontab.matches(virtual + number * minute) for number in range(1, skipped)):
                yield moment
        if crontab.hours.isdisjoint({local.hour}):
            virtual = max(virtual, local + BLOCK - minute)
            continue
        for number in range(30):
            is_new = local + number * minute > virtual
            if (crontab.is_wild or is_new) and crontab.matches(local + number * minute):
                yield moment + number * minute
        virtual = max(virtual, local + BLOCK - minute)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_fires_of_a_year_are_those_of_cron(zone: str, expression: str) -> None:
    """Both changes of the clock, and the leap day, computed in windows as a scheduler sees them."""
    expected = [*dict.fromkeys(cron(Crontab(expression), zone))]
    start, end = (edge - timedelta(minutes=1) for edge in YEAR)
    edges = [*(start + timedelta(hours=61, minutes=13) * number for number in range(144)), end]
    schedule = Schedule(expression, zone)

    fires = [minute for after, until in itertools.pairwise(edges) for minute in due(schedule, after, until, UTC)]

    assert expected
    assert expected == fires


@pytest.mark.parametrize("day", [(2028, 3, 26), (2028, 10, 29)])
def test_window_can_begin_at_any_minute_of_a_change(day: tuple[int, int, int]) -> None:
    """A scheduler that starts in the middle of it fires neither twice nor late."""
    start = datetime(*day, tzinfo=UTC) - timedelta(hours=2)
    end = start + timedelta(hours=8)
    for expression in EXPRESSIONS:
        schedule = Schedule(expression, "Europe/Berlin")
        fires = due(schedule, start, end, UTC)
        for minutes in range(0, 8 * 60, 7):
            after = start + timedelta(minutes=minutes, seconds=11)
            assert [minute for minute in fires if minute > after] == due(schedule, after, end, UTC)


def test_zone_of_the_machine_is_the_default() -> None:
    """As in Compose."""
    now, machine = datetime(2026, 7, 1, tzinfo=UTC), ZoneInfo("Asia/Tokyo")

    assert [datetime(2026, 7, 1, 15, tzinfo=UTC)] == due(Schedule("@daily"), now, now + timedelta(days=1), machine)
    assert [] == due(Schedule("@daily"), now, now, machine)


def test_next_fires_of_several_schedules() -> None:
    """Two that fire at one minute are one fire."""
    service = Service("job", image="x")
    daily, noon = Schedule("@daily", "UTC"), Schedule("0 0,12 * * *", "UTC")
    job = Job("job", Changes(service), schedules=(daily, noon))
    now = datetime(2026, 7, 1, 1, tzinfo=UTC)

    half_days = [now.replace(hour=12), datetime(2026, 7, 2, 0, tzinfo=UTC), datetime(2026, 7, 2, 12, tzinfo=UTC)]
    assert [*zip(half_days, (noon, daily, noon), strict=True)] == upcoming(job, now, 3, UTC)


def test_name_of_a_fire_is_that_of_its_job_and_minute() -> None:
    """So every scheduler of a stack claims the same."""
    fire = DueFire("a-b", datetime(2026, 7, 1, 3, 30, tzinfo=UTC))

    assert "a-b-20260701T0330Z" == fire.name
    assert fire == of_name(fire.name)
    assert of_name("a-b") is None
    assert fire.run_id("shop") == DueFire("a-b", fire.minute).run_id("shop") != fire.run_id("other")
