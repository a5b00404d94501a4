"""What `status` warns about: a scheduler that is gone, and missed fires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.memory_engine import Memory, World
from twelfth.model.job import Changes, Job, Schedule
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.schedule import heartbeat
from twelfth.schedule.heartbeat import Heartbeat
from twelfth.stack.status import status

NOW = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def job(cron: str) -> Job:
    """Return a job with a schedule."""
    return Job("nightly", Changes(Service("nightly", image="x")), schedules=(Schedule(cron, "UTC"),))


def beat(minutes: int, until: int, host: str = "here") -> Heartbeat:
    """Return a heartbeat that was written `minutes` ago, and considered fires until `until` minutes ago."""
    return Heartbeat(host, NOW - minutes * MINUTE, NOW - until * MINUTE)


GONE = "the last heartbeat of a scheduler was 9 min ago. Try: invoke up"


@pytest.mark.parametrize(
    ("cron", "heartbeats", "warnings"),
    [
        ("0 3 * * *", [], ["no scheduler has run yet, so these jobs do not start: nightly. Try: invoke up"]),
        ("0 3 * * *", [beat(1, 1)], []),
        ("0 3 * * *", [beat(9, 9)], [GONE]),
        ("0 3 * * *", [beat(9, 9), beat(1, 1, "there")], []),
        ("55 11 * * *", [beat(9, 9)], [GONE, "a fire was missed: nightly at 2026-07-01 11:55+00:00. Try: invoke up"]),
        ("58 11 * * *", [beat(4, 4)], ["the last heartbeat of a scheduler was 4 min ago. Try: invoke up"]),
        ("* * * * *", [beat(1, 1)], []),
        (
            "* * * * *",
            [beat(0, 8)],
            ["a fire was missed: nightly at 2026-07-01 11:53+00:00. Try: invoke schedule --list"],
        ),
    ],
)
def test_warnings(cron: str, heartbeats: list[Heartbeat], warnings: list[str]) -> None:
    """The command to type starts a scheduler, or shows the schedule."""
    assert warnings == [*heartbeat.warnings([job(cron)], heartbeats, NOW, UTC, "invoke up")]


def test_heartbeats_of_hosts_are_read_and_forgotten() -> None:
    """A host has one; a damaged one is left out."""
    state = Memory(Stack("shop", Path(), ()), World()).state
    state.write({"stack/heartbeat-zz.json": b"{", "stack/deploy-01.json": b"{}"})
    for each in (beat(9, 9), beat(5, 6), beat(1, 2, "there")):
        heartbeat.write(state, each)

    assert {beat(5, 6), beat(1, 2, "there")} == set(heartbeat.read(state))
    heartbeat.forget(state)
    assert [] == heartbeat.read(state)
    assert b"{}" == state.read("stack")["deploy-01.json"]


def test_status_reads_heartbeats_only_for_schedules() -> None:
    """And then with the record of deploys, which it reads anyway: nothing is read for them alone."""
    world = World()
    status(Memory(Stack("shop", Path(), ()), world))
    plain = list(world.reads)
    world.reads.clear()
    result = status(Memory(Stack("shop", Path(), (), jobs=(job("0 3 * * *"),)), world))

    assert ("no scheduler has run yet, so these jobs do not start: nightly. Try: invoke schedule",) == result.warnings
    assert set(plain) == set(world.reads)
