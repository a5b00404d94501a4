"""Lanes and positions of the timeline."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.cli.page.pages import NOW, record
from twelfth.cli.page.kinds import lane, outcome
from twelfth.cli.page.timeline import MOST_LANES, lanes, span, timeline


def utc(moment: datetime) -> datetime:
    """Return a time in UTC."""
    return moment.astimezone(UTC)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"job": "nightly"}, "nightly"),
        ({}, "reset"),
        ({"command": ("python3", "-m", "app.tool", "-v")}, "app.tool"),
        ({"command": ("python", "/app/manage.py", "shell")}, "manage.py"),
        ({"command": ("/bin/sh", "-c", "exit 1")}, "sh"),
        ({"command": ("python", "-c", "print()")}, "python"),
        ({"command": ("/",)}, "/"),
        ({"kind": "scale", "command": ()}, "changes"),
    ],
)
def test_lane_is_the_job_or_the_program(values: dict[str, Any], name: str) -> None:
    """All changes to the stack share one."""
    assert name == lane(record(**values))


@pytest.mark.parametrize(
    ("state", "look"),
    [
        ("done", "done"),
        ("stopped", "done"),
        ("failed", "failed"),
        ("timeout", "failed"),
        ("not started", "failed"),
        ("unknown", "unknown"),
        ("running", "active"),
        ("created", "active"),
    ],
)
def test_outcome_has_four_looks(state: str, look: str) -> None:
    """An outcome that no process saw is no failure and no success."""
    assert look == outcome(record(state=state))


def test_lanes_are_in_a_stable_order() -> None:
    """Changes first, then by name; the rarest jobs share the last lane."""
    frequent = [record(hours, job=f"job{number:02}") for number in range(MOST_LANES) for hours in (1, 2)]
    rare = [record(3, job="a"), record(4, job="b")]
    named = lanes([*rare, *frequent, record(5, kind="up", command=())])

    assert ["changes", *(f"job{number:02}" for number in range(MOST_LANES)), "others"] == list(named)
    assert rare == named["others"]


@pytest.mark.parametrize("age", [timedelta(), timedelta(minutes=5), *(timedelta(days=2**n) for n in range(12))])
def test_axis_begins_before_the_first_record(age: timedelta) -> None:
    """With a readable number of ticks."""
    axis = span(NOW - age, NOW)
    ticks = list(axis.ticks())

    assert axis.start <= NOW - age < axis.start + max(axis.step, timedelta(days=1))
    assert 1 <= len(ticks) <= 25
    assert all(0 <= axis.percent(tick) < 100 for tick in ticks)


def test_days_are_those_of_the_zone() -> None:
    """A tick is at midnight."""
    zone = timezone(timedelta(hours=5, minutes=30))
    axis = span((NOW - timedelta(days=3)).astimezone(zone), NOW.astimezone(zone))

    assert {(0, 0)} == {(tick.hour, tick.minute) for tick in axis.ticks()}


@pytest.mark.parametrize(
    ("hours", "labels"),
    [(5, ["02:00", "03:00"]), (30, ["Mon 30", "03:00"]), (300, ["Wed 18", "Thu 19"]), (2500, ["18 Aug", "1 Sep"])],
)
def test_labels_suit_the_length(hours: float, labels: list[str]) -> None:
    """Hours, days, or dates of several months."""
    texts = re.findall("<text[^>]*>(.*?)</text>", timeline([record(hours)], utc, NOW))

    assert set(labels) <= {re.sub("<.*?>", "", text) for text in texts}


def test_failures_are_drawn_above_the_others() -> None:
    """Thousands of marks may overlap."""
    records = [record(2, state="failed"), record(1)]
    shapes = re.findall(r'href="#(done|failed)"', timeline(records, utc, NOW))

    assert ["done", "failed"] == shapes


def test_long_run_has_a_bar() -> None:
    """Up to now if it is running; a record of a clock that is ahead stays inside."""
    long = record(10, seconds=5 * 3600.0)
    running = record(5, state="running", seconds=None)
    bars = re.findall(
        r'<rect class="(\w+)" x="([\d.]+)%" y="12" width="([\d.]+)%"', timeline([long, running], utc, NOW)
    )
    ahead = timeline([record(-1), long], utc, NOW)

    assert [("done", "0.0", "50.0"), ("active", "50.0", "50.0")] == bars
    assert 'x="100.0%"' in ahead


def test_deploys_are_lines_in_all_lanes() -> None:
    """A program may fail because of one."""
    drawn = timeline([record(10, kind="up", command=()), record(1)], utc, NOW)

    assert 1 == drawn.count('<line class="deploy"')
    assert 2 == drawn.count('href="#grid"')


def test_no_records_have_no_timeline() -> None:
    """Also no axis."""
    assert "" == timeline([], utc, NOW)
