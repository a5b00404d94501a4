"""Changes to a stack in its ledger: each command that changes something, and how it ended; on the engine in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import EngineError
from twelfth.model.service import Build, Service
from twelfth.model.stack import Stack
from twelfth.runs.history import Query, history
from twelfth.stack import deploy, lifecycle

if TYPE_CHECKING:
    from twelfth.model.record import Record

APP = Service("app", "app:one", build=Build(Path()), stop_grace=1)


@pytest.fixture
def engine() -> Memory:
    """Return an engine for a stack of one service that is built."""
    return Memory(Stack("shop", Path("/shop"), (APP,)), World())


def with_release(engine: Memory, release: str) -> Memory:
    """Return an engine for the stack with another release."""
    return Memory(replace(engine.stack, services=(replace(APP, image=f"app:{release}"),)), engine.world)


def up(engine: Memory, *, is_rollback: bool = False) -> None:
    """Deploy."""
    deploy.up(engine, Recorded(), deploy.UpOptions(1, is_rollback=is_rollback))


def records(engine: Memory) -> list[Record]:
    """Return what is recorded."""
    return history(engine, Query())


def test_each_change_is_recorded_with_what_it_changed(engine: Memory) -> None:
    """From which release to which, by whom, on which machine; a command without anything to do is not recorded."""
    up(engine)
    up(engine)
    second = with_release(engine, "two")
    up(second)
    up(engine, is_rollback=True)
    lifecycle.scale(engine, replace(APP, replicas=2), Recorded())
    lifecycle.scale(engine, replace(APP, replicas=2), Recorded())
    lifecycle.prune(engine, Recorded(), 0)
    lifecycle.down(engine, Recorded())
    lifecycle.down(engine, Recorded())

    changes = records(engine)
    assert [
        ("up", "", "", "one"),
        ("up", "", "one", "two"),
        ("rollback", "", "two", "one"),
        ("scale", "app=2", "", ""),
        ("prune", "two", "", ""),
        ("down", "", "one", ""),
    ] == [(record.kind, record.what, record.release_before, record.release) for record in changes]
    assert {("done", "memory", "operator")} == {(record.state, record.engine, record.trigger) for record in changes}
    assert all(record.operator and record.host and record.finished >= record.started for record in changes)


def test_failed_change_is_recorded_with_its_error(engine: Memory) -> None:
    """The first line of it."""
    engine.world.failures["create app-1"] = EngineError("no space left\nmore")
    with pytest.raises(EngineError):
        up(engine)

    (record,) = records(engine)
    assert ("up", "failed", "no space left") == (record.kind, record.state, record.error)


def test_interrupted_change_is_recorded_as_interrupted(engine: Memory) -> None:
    """By Ctrl-C or TERM."""
    engine.world.failures["create app-1"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        up(engine)

    assert ["interrupted"] == [record.state for record in records(engine)]


def test_change_whose_process_was_killed_is_unknown(engine: Memory) -> None:
    """While another change holds the lock, only the last one is running."""
    up(engine)
    lifecycle.down(engine, Recorded())
    for path in [path for path in engine.world.files if path.endswith(".end.json")]:
        del engine.world.files[path]

    assert ["unknown", "unknown"] == [record.state for record in records(engine)]
    with engine.state.lock("taking it down"):
        assert ["unknown", "running"] == [record.state for record in records(engine)]


def test_deploy_that_cannot_be_recorded_changes_nothing(engine: Memory) -> None:
    """Such as on a full disk."""
    up(engine)
    engine.world.done.clear()
    engine.world.failures["write state"] = EngineError("no space left")
    with pytest.raises(EngineError, match="no space left"):
        lifecycle.scale(engine, replace(APP, replicas=2), Recorded())

    assert [] == engine.world.done


def test_history_is_removed_only_by_its_option(engine: Memory) -> None:
    """`down --history` removes it also if nothing else is left."""
    up(engine)
    lifecycle.down(engine, Recorded(), volumes=True)
    assert ["up", "down"] == [record.kind for record in records(engine)]

    assert lifecycle.down(engine, Recorded(), history=True)
    assert [] == records(engine)
    assert not lifecycle.down(engine, Recorded(), history=True)
