"""Invalid arguments cause one line and exit code 2; tests/cli/test_commands.py has those that need no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stop", "zzzz"), "no run zzzz"),
        (("logs", "--run", "zzzz"), "no run zzzz"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(project: Project, words: tuple[str, ...], message: str) -> None:
    """A run that does not exist, of a stack that is not up."""
    done = project.invoke(*words)

    assert (2, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert 1 == done.stderr.count("\n")
