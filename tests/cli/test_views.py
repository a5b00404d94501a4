"""What of the stack and of its runs is shown, and how."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from twelfth.cli import views
from twelfth.model.run import Run
from twelfth.stack.status import ServiceStatus, Status

RUN = Run("a1", ("true",), "docker", "r1", "sha256:1", "ann", "", (), "", "", 0.1, "done", 0)
STATUS = Status(
    project="p",
    engine="local",
    address="http://127.0.0.1:8000",
    ready=False,
    why="worker has 1 of 2 replicas; try: invoke up",
    release="r1",
    services=(ServiceStatus("worker", 1, 1, 2, "running", "ready", "r1", 0, ()),),
    details={"revision": "0002", "pending": [], "ready": True},
)


@pytest.mark.parametrize("noted", ["2026-01-02T03:04:05.678901234Z", "2026-01-02T04:04:05.678901+01:00"])
def test_times_of_records_are_alike_whatever_engine_noted_them(noted: str) -> None:
    """UTC, to the millisecond; one that is not there stays empty."""
    (shown,) = json.loads(views.json_array([replace(RUN, started=noted)]))

    assert ("2026-01-02T03:04:05.678+00:00", "") == (shown["started"], shown["finished"])
    assert "source_mounted" not in shown


def test_what_healthchecks_tell_is_shown_also_where_not_all_is_ready() -> None:
    """The data's revision is of interest just then; an error is why it is not ready, and said once."""
    broken = replace(STATUS, details={**STATUS.details, "error": "Redis is away"}, why="Redis is away")

    assert "revision 0002" in views.status(STATUS).splitlines()
    assert 1 == views.status(broken).count("Redis is away")
