"""When a replica is ready, how long that may take, and that `up` and `status` agree on it; on the engine in memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import EngineError
from twelfth.model.snapshot import Health
from twelfth.model.stack import Healthcheck, Service, Stack
from twelfth.stack import lifecycle, readiness
from twelfth.stack.readiness import ready_within
from twelfth.stack.status import status

SLOW = Service("slow", "app:1", healthcheck=Healthcheck(("CMD", "true"), start_period=90.0))
PLAIN = Service("plain", "app:1", monitor=0.2)


def stack(directory: Path, service: Service) -> Memory:
    """Return an engine with a stack of one service, of which nothing is there."""
    return Memory(Stack("p", directory, (service,)), World())


@pytest.mark.parametrize(
    ("service", "asked", "expected"),
    [("slow", None, 150.0), ("slow", 5.0, 5.0), ("plain", None, 60.0), ("unknown", None, 60.0)],
)
def test_start_period_extends_the_default(service: str, asked: float | None, expected: float) -> None:
    """What is asked for holds as it is."""
    assert expected == ready_within(Stack("p", Path(), (SLOW, PLAIN)), service, asked)


def test_replica_has_its_start_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is removed after that, if it is not ready."""
    monkeypatch.setattr(readiness, "READY_WITHIN", 0.1)
    engine = stack(tmp_path, Service("slow", "app:1", healthcheck=Healthcheck(("CMD", "true"), start_period=0.2)))
    engine.world.healths["slow-1"] = Health(is_ready=False, output="loading")

    with pytest.raises(EngineError, match=r"slow-1 is not ready after 0.3 s \(loading\)"):
        lifecycle.up(engine, Recorded())


def test_replica_without_a_check_is_waited_for_once_all_run(tmp_path: Path) -> None:
    """The first of a service takes the place of no other, so others need not wait for it."""
    engine = stack(tmp_path, PLAIN)
    engine.world.running_seconds["plain-1"] = 0.1
    with pytest.raises(
        EngineError, match=r"plain-1 is not ready after 0.3 s \(it has run for 0.1 of 0.2 s\); see: invoke logs plain"
    ):
        lifecycle.up(engine, Recorded(), lifecycle.Wishes(0.1))

    assert (False, "it has run for 0.1 of 0.2 s") == (status(engine).ready, status(engine).why)
    engine.world.running_seconds["plain-1"] = 0.2
    lifecycle.up(engine, Recorded(), lifecycle.Wishes(0.1))
    assert status(engine).ready


def test_replicas_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """So `status` takes as long as the slowest check, and not as all of them."""

    class Slow(Memory):
        def check_health(self, replica: object, within: float | None = None) -> Health:  # noqa: ARG002 - all alike
            time.sleep(0.2)
            return Health(is_ready=True)

    engine = Slow(Stack("p", tmp_path, (Service("app:1", "app:1", replicas=5),)), World())
    lifecycle.up(engine, Recorded())
    began = time.monotonic()

    assert status(engine).ready
    assert time.monotonic() - began < 0.8
