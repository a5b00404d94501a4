"""Two local replicas of one number, of which one replaces the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twelfth.engines.local.engine import Local
from twelfth.engines.local.replica_spec import program, service_and_number
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Service
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("state_of_test")
APP = Service("app", "app", local=LocalSettings(("true",)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app-1", ("app", 1)),
        ("app-12.0a1b2c3d", ("app", 12)),
        ("my.app-2.01234567", ("my.app", 2)),
        ("my-app-3", ("my-app", 3)),
        ("app", ("", 0)),
    ],
)
def test_name_of_a_program_contains_service_and_number(name: str, expected: tuple[str, int]) -> None:
    """The service may contain both separators."""
    assert expected == service_and_number(name)


def test_programs_and_logs_do_not_accumulate(tmp_path: Path) -> None:
    """The log of a removed replica stays until the next one of its number, so that all of it can be read."""
    engine = Local(Stack("p", tmp_path, (APP,)))
    names, replica = [], prepared(engine, None)
    for _ in range(3):
        names.append(program(replica))
        new = prepared(engine, replica)
        assert ["app-1", "app-1"] == [existing.name for existing in engine.replicas("app")]
        engine.remove_replica(replica)
        replica = new

    assert ["app-1", "app-1"] == names[::2]
    assert names[1].startswith("app-1.")
    assert 2 == len([*(engine.home / "logs").iterdir()])
    engine.remove_replica(replica)


def prepared(engine: Local, old: Replica | None) -> Replica:
    """Return a replica that has written a log."""
    replica = engine.prepare_replica(APP, 1, old or Replica("app", 1, "", "", {}))
    (engine.home / "logs" / f"{program(replica)}.log").write_text("hello\n", "utf-8")
    return replica
