"""Take away the lock of a stack whose holder changes while the command waits for an answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from tests.memory_engine import Memory, World
from twelfth.cli import confirmation, stack
from twelfth.engines.state import Holder
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN = Holder("ann", "laptop", "deploying", "2030-01-01T00:00:00+00:00")
OTHER = Holder("bob", "laptop", "scaling", "2030-01-01T00:00:09+00:00")


@pytest.fixture
def unlock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Holder | None], World]:
    """Return what types `unlock`, and answers yes when the lock has got another holder."""

    def type_unlock(holder: Holder | None) -> World:
        world = World()
        world.holder = SHOWN
        engine = Memory(Stack("p", Path("/src"), ()), world)
        monkeypatch.setattr(stack, "Target", lambda _: SimpleNamespace(engine=lambda: engine))
        monkeypatch.setattr(confirmation, "confirm", lambda _: setattr(world, "holder", holder))
        stack.unlock(Context())
        return world

    return type_unlock


@pytest.mark.parametrize("holder", [SHOWN, None])
def test_shown_holder_loses_the_lock(unlock: Callable[[Holder | None], World], holder: Holder | None) -> None:
    """Also if it has exited meanwhile."""
    assert unlock(holder).holder is None


def test_another_holder_keeps_the_lock(unlock: Callable[[Holder | None], World]) -> None:
    """It started after the question; the error names it."""
    with pytest.raises(Exit, match="cannot take the lock away: it now belongs to bob on laptop"):
        unlock(OTHER)
