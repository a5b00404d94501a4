"""The engines of one command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoke.config import Config
from invoke.context import Context

from tests.memory_engine import Memory, World
from twelfth.cli import target
from twelfth.model.snapshot import Replica
from twelfth.stack.load import load_stack
from twelfth.stack.stack_file import remember

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from twelfth.model.stack import Stack


def test_engine_is_chosen_once_for_healthchecks_and_the_declared_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each choice connects to the daemon."""
    world = World(replicas={"app-1": Replica("app", 1, "a", "running", {})})
    (tmp_path / "compose.yaml").write_text("name: p\nservices: {app: {image: app}}\n", "utf-8")
    (tmp_path / ".twelfth").mkdir()
    remember(Memory(load_stack(tmp_path, os.environ), world))
    chosen: list[Stack] = []

    def choose(_: str, stack: Stack, *_last: object) -> Memory:
        chosen.append(stack)
        return Memory(stack, world)

    monkeypatch.setattr(target, "choose", choose)
    command = target.Target(Context(Config({"engine": "docker", "project": {"directory": str(tmp_path)}})))
    command.check_healths()
    engine = command.engine("declared")

    assert [()] == [stack.services for stack in chosen]  # before Compose has read the file
    assert ["app"] == [service.name for service in engine.stack.services]
