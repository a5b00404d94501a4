"""`down` asks before it removes what cannot be restored."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from tests.memory_engine import Memory, World
from twelfth.cli import confirmation, stack
from twelfth.model.stack import Stack, Volume

DATA = "Remove all data of shop?"
HISTORY = "Remove the record of all runs and changes? No one can tell afterwards what was done."


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return the world of a stack with data, whose operator is at a terminal."""
    world = World(resources=[Volume("data")])
    engine = Memory(Stack("shop", Path("/shop"), (), volumes=(Volume("data"),)), world)
    monkeypatch.setattr(stack, "Target", lambda _: SimpleNamespace(engine=lambda _: engine))
    monkeypatch.setattr(stack, "on_terminal", lambda: True)
    return world


def down(*, dry: bool = False, **options: bool) -> None:
    """Execute the command."""
    context = Context()
    context.config.run.dry = dry
    stack.down(context, **options)


@pytest.mark.parametrize(
    ("options", "questions"),
    [
        ({}, []),
        ({"volumes": True}, [DATA]),
        ({"volumes": True, "yes": True}, []),
        ({"history": True}, [HISTORY]),
        ({"volumes": True, "history": True}, [DATA, HISTORY]),
        ({"volumes": True, "dry": True}, []),
    ],
)
def test_down_asks_at_a_terminal(
    world: World, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], questions: list[str]
) -> None:
    """About each thing that it removes for good."""
    asked: list[str] = []
    monkeypatch.setattr(confirmation, "confirm", asked.append)
    down(**options)

    assert questions == asked
    assert ("volumes" in options and "dry" not in options) == (world.resources == [])


def test_nothing_is_removed_after_no(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is that of a failure."""

    def refuse(_: str) -> None:
        raise Exit("nothing was changed", 1)

    monkeypatch.setattr(confirmation, "confirm", refuse)
    with pytest.raises(Exit):
        down(volumes=True)

    assert [Volume("data")] == world.resources


def test_script_is_not_asked_about_data(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has named the option."""
    monkeypatch.setattr(stack, "on_terminal", lambda: False)
    down(volumes=True)

    assert [] == world.resources
