"""The commands about running services, on the engine in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.typed import Project


@pytest.mark.parametrize("dashes", [(), ("--",)])
@pytest.mark.parametrize(
    ("options", "words", "expected"),
    [
        ((), ("echo", "-n", "a  b", "--help"), (0, "-n a  b --help\n", "")),
        ((), ("sh", "-c", "exit 3"), (3, "", "")),
        (("-T", "-e", "A=b c"), ("printenv", "A"), (0, "b c\n", "")),
        (("-iTe", "A=b"), ("printenv", "A"), (0, "b\n", "")),
        (("--env=A=b", "--index", "1"), ("printenv", "A"), (0, "b\n", "")),
        ((), ("sh", "-c", "echo out; echo err >&2"), (0, "out\n", "err\n")),
    ],
)
def test_exec_passes_words_and_streams(
    project: Project,
    options: tuple[str, ...],
    words: tuple[str, ...],
    expected: tuple[int, str, str],
    dashes: tuple[str, ...],
) -> None:
    """As they were typed, with `--` or without; it keeps no record."""
    assert expected == project.typed("exec", *options, "app", *dashes, *words)
    assert expected == project.typed("exec", "app", *options, *dashes, *words)
    assert [] == project.records()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("app",), 2, "cannot execute: no command was given. Try: X exec SERVICE COMMAND"),
        (("db", "ls"), 125, "cannot execute in db: it is not running. Try: X ps --all"),
        (("--index", "2", "app", "ls"), 125, "cannot execute in app-2: it is not running. Try: X ps --all"),
    ],
)
def test_exec_that_is_impossible(project: Project, words: tuple[str, ...], code: int, message: str) -> None:
    """One line names what to type."""
    assert (code, "", f"twelfth: {message}\n") == project.typed("exec", *words)


def test_help_of_exec_shows_its_words_without_dashes(project: Project) -> None:
    """As they are typed."""
    assert project.typed("exec", "--help")[1].splitlines()[0].endswith(" exec SERVICE [OPTIONS] COMMAND [ARG…]")
