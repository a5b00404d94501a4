"""A project whose stack is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.typed import Project, read_once
from tests.memory_engine import Memory
from twelfth.cli import target

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project, in which the commands are typed."""
    project = Project(tmp_path, capfd, monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("INVOKE_ENGINE", "memory")
    monkeypatch.setattr(target, "choose", lambda _, stack, *__: Memory(stack, project.engine.world))
    monkeypatch.setattr(target, "preload", lambda _: None)
    monkeypatch.setattr("twelfth.hints.program", lambda: "X")
    monkeypatch.setattr("twelfth.stack.load.cli.read", read_once)
    return project
