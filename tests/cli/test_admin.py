"""Each program of `admin/` is a command with the options of `run`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from invoke.config import Config
from invoke.context import Context

from twelfth.cli import admin
from twelfth.cli.runs import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_program_takes_the_options_of_run_and_the_words_after_dashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options come before `--`; the words after it keep their spaces."""
    program, calls = tmp_path / "fill_queue.py", list[Any]()
    program.write_text('"""Fill the queue.\n\nSlowly.\n"""\n', "utf-8")
    monkeypatch.setattr(admin, "start_as_typed", lambda _, *values, **settings: calls.append((*values, settings)))
    monkeypatch.setattr(sys, "argv", ["invoke", "fill-queue", "--detach", "--timeout", "5m", "--", "--all", "a b"])
    context = Context(Config({"engine": "local", "project": {"directory": str(tmp_path)}}))

    command = admin.program_command(program)
    command(context, env=["LEVEL=debug"], detach=True, timeout="5m", release="4f5e6d7c8b9a")

    assert ("fill-queue", "Fill the queue.") == (command.name, command.__doc__)
    ((target, words, options, settings),) = calls
    assert "4f5e6d7c8b9a" == target.release
    assert ["python", "-m", "admin.fill_queue", "--all", "a b"] == words
    assert options == RunOptions(
        env=["LEVEL=debug"], detach=True, node="", reason="", timeout="5m", tty=False, no_tty=False
    )
    assert {"is_admin_process": True} == settings
