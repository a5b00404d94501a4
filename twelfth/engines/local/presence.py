"""Read whether a stack is on the local engine, from its files and without importing the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.state_home import state_home

if TYPE_CHECKING:
    from pathlib import Path

    from twelfth.model.stack import Stack


def has_stack(stack: Stack) -> bool:
    """Return whether there are processes or data of the stack, also in the checkout, where older versions had them."""
    return any(
        any(home.glob("services/*.json")) or any(home.glob("volumes/*/*"))
        for home in (state_home(stack.project), stack.directory / ".twelfth" / "local" / stack.project)
    )


def mark_second(stack: Stack) -> None:
    """Record that the stack is on another engine, too, so that `auto` asks a daemon before every command."""
    path = _mark(stack)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch()


def is_second(stack: Stack) -> bool:
    """Return whether the stack may be on another engine, too."""
    return _mark(stack).exists()


def _mark(stack: Stack) -> Path:
    return state_home(stack.project) / "second-engine"
