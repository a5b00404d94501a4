"""Whose a line of a log is, and which one has an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twelfth.errors import MisuseError, NoLogError
from twelfth.model.service import Service
from twelfth.model.snapshot import Replica, Snapshot
from twelfth.model.stack import Stack
from twelfth.stack import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = Stack("p", Path(), (Service("web", "a"), Service("worker", "b")))
FOUND = Snapshot(replicas=(Replica("worker", 2, "2", "running", {}), Replica("worker", 1, "1", "running", {})))


def test_replicas_of_one_service_come_by_number() -> None:
    """Their order does not depend on the engine's."""
    assert [1, 2] == [one.number for one in logs.replicas_of(STACK, FOUND, ["worker"])]


@pytest.mark.parametrize(("name", "why"), [("web", "has no replica"), ("nobody", "is not a service")])
def test_service_without_replicas_is_refused_with_those_that_have(name: str, why: str) -> None:
    """The refusal says what could be typed."""
    with pytest.raises(MisuseError, match=f"{name} {why}.*worker"):
        logs.replicas_of(STACK, FOUND, ["worker", name])


NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("0s", NOW),
        ("2026-11-25T11:00:00+00:00", NOW - timedelta(hours=1)),
        ("2026-11-25T11:00:00Z", NOW - timedelta(hours=1)),
    ],
)
def test_since_is_how_long_ago_or_a_time(text: str, expected: datetime) -> None:
    """As `docker logs` has it."""
    assert expected == logs.moment(text, NOW)


@pytest.mark.parametrize("text", ["", "10", "m", "yesterday", "-5m", "1m1h", "9999999d"])
def test_since_that_is_no_time_is_refused(text: str) -> None:
    """With what could be typed."""
    with pytest.raises(MisuseError, match=f"^--since {text}: write how long ago, such as 10m"):
        logs.moment(text, NOW)


PRINTED = {"worker-1": b"one\n", "worker-2": b"two\n"}


def printed(*kept: str) -> list[tuple[str, Iterator[bytes]]]:
    """Return the logs of two replicas, of which only some are kept."""

    def log(name: str) -> Iterator[bytes]:
        if name not in kept:
            raise NoLogError("what it printed is kept nowhere")
        yield PRINTED[name]

    return [(name, log(name)) for name in PRINTED]


def test_log_that_is_kept_nowhere_does_not_hide_the_others() -> None:
    """It is named in one line, as `docker compose logs` does."""
    said: list[str] = []

    assert [b"worker-1 | one\n"] == [*logs.lines(printed("worker-1"), said.append)]
    assert ["worker-2: what it printed is kept nowhere"] == said


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["worker-2"], "worker-2: what it printed"),
        (["worker-1", "worker-2"], "cannot show logs: the output of worker-1, worker-2"),
    ],
)
def test_log_that_is_not_kept_is_an_error_if_there_is_no_other(names: list[str], message: str) -> None:
    """Otherwise the client would get nothing."""
    asked = [(name, log) for name, log in printed() if name in names]
    with pytest.raises(NoLogError, match=f"^{message}"):
        list(logs.lines(asked, lambda _: None))
