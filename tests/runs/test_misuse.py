"""Misuse is one line, exit code 2, and nothing has been done; tests/test_tasks.py has what needs no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Project


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), "no command"),
        (("run", "--"), "no command"),
        (("run", "--timeout", "0", "--", "true"), "--timeout 0"),
        (("run", "--timeout", "x", "--", "true"), "--timeout x"),
        (("run", "--timeout", "nan", "--", "true"), "--timeout nan"),
        (("run", "--timeout", "-1", "--", "true"), "--timeout -1"),
        (("run", "--env", "A", "--", "true"), "--env number 1 is not NAME=VALUE"),
        (("run", "--env", "=hush", "--", "true"), "--env number 1 is not NAME=VALUE"),
        (("run", "--tty", "--detach", "--", "true"), "--tty does not go with --detach"),
        (("stop", "zzzz"), "no run zzzz"),
        (("stop",), "'run'; see: invoke --help stop"),
        (("logs", "--run", "zzzz"), "no run zzzz"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(project: Project, words: tuple[str, ...], message: str) -> None:
    """It is seen before the stack is looked at, which is not up here; no value is shown."""
    done = project.invoke(*words)

    assert (2, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert 1 == done.stderr.count("\n")
    assert "hush" not in done.stderr
