"""`./inv test` repeats failed tests, and stops if it is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

import tasks

ROOT = Path(__file__).resolve().parents[1]
MARK = "pytest.mark.measures"
REPEATED = "pytest --last-failed --last-failed-no-failures none"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """Return the commands that were run; the first one exits with the code of the test."""
    commands: list[str] = []

    def run(_: Context, command: str) -> None:
        commands.append(command)
        if len(commands) == 1 and request.param:
            raise Exit(code=request.param)

    monkeypatch.setattr(tasks, "_develop", run)
    monkeypatch.setattr("sys.argv", ["invoke", "test"])
    return commands


@pytest.mark.parametrize("commands", [0, 1], indirect=True)
def test_failed_tests_are_repeated(commands: list[str], request: pytest.FixtureRequest) -> None:
    """Then those that measure run."""
    body: Any = tasks.test.body
    body(Context())

    has_failed = request.node.callspec.params["commands"] == 1
    assert has_failed == (commands[1] == REPEATED)
    assert commands[-1].endswith(f"-m measures {tasks.MEASURING}")


@pytest.mark.parametrize("commands", [2, 5], indirect=True)
def test_nothing_follows_an_interruption(commands: list[str]) -> None:
    """Pytest exits with 2 after Ctrl-C, with 5 if it found no test."""
    body: Any = tasks.test.body
    with pytest.raises(Exit):
        body(Context())

    assert 1 == len(commands)


def test_all_tests_that_measure_are_in_the_folders_that_are_collected() -> None:
    """Else no test process would run them."""
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if MARK in file.read_text("utf-8")]
    files.remove(Path(__file__))
    folders = [ROOT / folder for folder in tasks.MEASURING.split()]

    assert files
    assert [] == [file for file in files if not set(folders) & set(file.parents)]
