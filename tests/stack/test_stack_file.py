"""Where stacks of a directory were deployed, by the file that is chosen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.memory_engine import Memory, World
from twelfth.cli.compose_options import ComposeOptions
from twelfth.stack.load import load_names
from twelfth.stack.stack_file import certain, recall, remember

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_stacks_of_different_files_are_remembered_separately(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file of a known name, and another name for a known file, have to be read."""

    def choose(file: str, project: str = "") -> None:
        monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
        for name, value in ComposeOptions(files=(file,), project=project).variables(tmp_path).items():
            monkeypatch.setenv(name, value)

    def known(file: str, project: str = "") -> str:
        choose(file, project)
        location = certain(recall(tmp_path), tmp_path)
        return location.project if location else ""

    for file, project in (("a.yml", "a"), ("b.yml", "b"), ("same.yml", "a")):
        (tmp_path / file).write_text(f"name: {project}\nservices: {{app: {{image: app}}}}\n", "utf-8")
    for file in ("a.yml", "b.yml"):
        choose(file)
        remember(Memory(load_names(tmp_path, os.environ), World()))

    assert ["a", "b", ""] == [known(file) for file in ("a.yml", "b.yml", "same.yml")]
    assert "" == known("a.yml", "stage")
