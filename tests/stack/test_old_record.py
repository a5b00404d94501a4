"""The record of deploys that an older version kept in the checkout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.memory_engine import Memory, World
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.stack.deploy_record import Deploy, Deploys, note_scale, read_deploys
from twelfth.stack.old_record import adopt_old_record

if TYPE_CHECKING:
    from pathlib import Path

OLD = {
    "deployed": [{"release": "one", "at": "2026-01-01T00:00:00+00:00", "operator": "ann"}],
    "scale": {"worker": 3},
    "built": ["one", "two"],
    "accepted": ["no limits"],
}


@pytest.fixture
def engine(tmp_path: Path) -> Memory:
    """Return an engine whose stack has an old record."""
    (tmp_path / ".twelfth").mkdir()
    (tmp_path / ".twelfth" / "p.deploys.json").write_text(json.dumps(OLD), "utf-8")
    return Memory(Stack("p", tmp_path, (Service("worker", "app:one"),)), World())


def test_old_record_is_moved_once(engine: Memory) -> None:
    """The command reports it; the file is gone afterwards."""
    assert "copied the record of deploys" in adopt_old_record(engine)
    assert "" == adopt_old_record(engine)
    deploy = Deploy("one", "2026-01-01T00:00:00+00:00", "ann")
    assert Deploys((deploy,), {"worker": 3}, frozenset({"one", "two"}), ("no limits",)) == read_deploys(engine.state)


def test_record_of_the_stack_is_not_replaced(engine: Memory) -> None:
    """Another checkout has moved its record, or has deployed since."""
    note_scale(engine.state, {"worker": 2})
    assert "" == adopt_old_record(engine)
    assert (engine.stack.directory / ".twelfth" / "p.deploys.json").exists()
    assert {"worker": 2} == read_deploys(engine.state).scale


def test_garbled_old_record_is_ignored(engine: Memory) -> None:
    """The stack has no record then."""
    path = engine.stack.directory / ".twelfth" / "p.deploys.json"
    path.write_text("[", "utf-8")
    assert "" == adopt_old_record(engine)
    assert path.exists()
    assert Deploys() == read_deploys(engine.state)
