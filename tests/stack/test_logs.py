"""Whose a line of a log is, and which one has an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from twelfth.errors import MisuseError
from twelfth.model.snapshot import Replica, Snapshot
from twelfth.model.stack import Service, Stack
from twelfth.stack import logs

STACK = Stack("p", Path(), (Service("web", "a"), Service("worker", "b")))
FOUND = Snapshot(replicas=(Replica("worker", 2, "2", "running", {}), Replica("worker", 1, "1", "running", {})))


def test_replicas_of_one_service_come_by_number() -> None:
    """Their order does not depend on the engine's."""
    assert [1, 2] == [one.number for one in logs.replicas_of(STACK, FOUND, "worker")]


@pytest.mark.parametrize(("name", "why"), [("web", "does not run on this engine"), ("nobody", "is not a service")])
def test_service_without_replicas_is_refused_with_those_that_have(name: str, why: str) -> None:
    """The refusal says what could be typed."""
    with pytest.raises(MisuseError, match=f"{name} {why}.*worker"):
        logs.replicas_of(STACK, FOUND, name)
