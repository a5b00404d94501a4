"""Invalid arguments cause one line and exit code 2; tests/cli/test_commands.py has those that need no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize("words", [("stop", "zzzz"), ("logs", "--run", "zzzz")])
def test_misuse_is_one_line_and_exit_code_2(project: Project, words: tuple[str, ...]) -> None:
    """A run that does not exist, of a stack that is not up."""
    done = project.invoke(*words)

    message = "twelfth: cannot find the record: no id starts with zzzz. Try: invoke history\n"
    assert (2, "", message) == (done.returncode, done.stdout, done.stderr)
