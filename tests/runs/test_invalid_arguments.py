"""Invalid arguments cause one line and exit code 2; tests/cli/test_commands.py has those that need no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stop", "zzzz"), "cannot stop zzzz: there is neither a run nor a service of that name. Try: invoke ps"),
        (("logs", "--run", "zzzz"), "cannot find the record: no id starts with zzzz. Try: invoke history"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(project: Project, words: tuple[str, ...], message: str) -> None:
    """A run that does not exist, of a stack that is not up."""
    done = project.invoke(*words)

    assert (2, "", f"twelfth: {message}\n") == (done.returncode, done.stdout, done.stderr)
