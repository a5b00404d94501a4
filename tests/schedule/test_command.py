"""The command schedule, and the scheduler that the local engine keeps running, as operators see them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from invoke.config import Config
from invoke.context import Context

from tests.conftest import ROOT, eventually
from twelfth.cli.schedule import surroundings
from twelfth.engines import choice
from twelfth.errors import EngineError
from twelfth.schedule import heartbeat
from twelfth.stack.load import load_names, load_stack

COMPOSE = """
name: scheduled
x-twelfth: {runs-from: app}
services:
  app: {image: none, x-local: {command: [sleep, "1000"]}}
"""
JOBS = """
x-jobs:
  nightly: {command: [echo, hi], triggers: {schedule: [{cron: "30 3 * * *", timezone: Europe/Berlin}]}}
  manual: {command: [echo, hi]}
"""

pytestmark = pytest.mark.usefixtures("state_of_test")


class Stack:
    """A stack on the local engine, in a directory."""

    def __init__(self, directory: Path) -> None:
        """Write the Compose file."""
        self.directory = directory
        (directory / "compose.yaml").write_text(COMPOSE + JOBS)

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as an operator does."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "twelfth", *words],
            cwd=self.directory,
            env={**os.environ, "INVOKE_ENGINE": "local", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    def heartbeats(self) -> list[heartbeat.Heartbeat]:
        """Return the heartbeats in the state."""
        return heartbeat.read(choice.choose("local", load_stack(self.directory, os.environ)).state)

    def scheduler(self) -> int:
        """Return the process of the scheduler, 0 if there is none."""
        engine = choice.choose("local", load_stack(self.directory, os.environ))
        known = engine.supervisor._call("getAllProcessInfo") if engine.scheduler_state() else []  # type: ignore[attr-defined] # noqa: SLF001
        return next((int(each["pid"]) for each in known if each["name"] == "scheduler"), 0)


def test_scheduler_runs_from_up_to_down(tmp_path: Path) -> None:
    """It is restarted after a kill, and stopped when no job has a schedule anymore."""
    stack = Stack(tmp_path)
    try:
        assert 0 == stack.type("up").returncode
        assert eventually(lambda: bool(stack.heartbeats()))
        status = stack.type("status")
        assert ("scheduled on local is ready\n  app  1/1 running\nscheduler: running\n", "") == (
            status.stdout,
            status.stderr,
        )
        first = stack.scheduler()
        assert 0 == stack.type("up").returncode
        assert first == stack.scheduler()
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: stack.scheduler() not in {0, first})

        (tmp_path / "compose.yaml").write_text(COMPOSE)
        assert 0 == stack.type("up").returncode
        assert 0 == stack.scheduler()
        assert "" == stack.type("status").stderr
        (tmp_path / "compose.yaml").write_text(COMPOSE + JOBS)
        assert 0 == stack.type("up").returncode
        last = stack.scheduler()
        assert last
    finally:
        assert 0 == stack.type("down", "--volumes").returncode
    assert eventually(lambda: not Path(f"/proc/{last}").exists())
    assert [] == stack.heartbeats()


@pytest.mark.thorough
def test_scheduler_and_replicas_have_the_options_of_up(tmp_path: Path) -> None:
    """There is no other file that the scheduler could read."""
    stack = Stack(tmp_path)
    (tmp_path / "compose.yaml").rename(tmp_path / "other.yml")
    (tmp_path / "more.yml").write_text("services: {app: {environment: {A: $WHO}}}\n")
    (tmp_path / "more.env").write_text("WHO=more\n")
    words = ("-f", "other.yml", "-f", "more.yml", "--env-file", "more.env", "-p", "stage")
    try:
        assert 0 == stack.type(*words, "up").returncode
        assert eventually(lambda: "scheduler: running" in stack.type(*words, "status").stdout)
        assert "more\n" == stack.type(*words, "run", "--", "sh", "-c", "echo $A").stdout
        assert "nightly" in stack.type(*words, "schedule", "--list").stdout
    finally:
        stack.type(*words, "down", "--history", "--yes")


def test_schedule_is_shown(tmp_path: Path) -> None:
    """The next fires in their time zone, also before the first `up`; and that no scheduler runs."""
    stack = Stack(tmp_path)
    shown = stack.type("schedule", "--list")
    values = json.loads(stack.type("schedule", "--list", "--json").stdout)

    lines = shown.stdout.splitlines()
    assert ["JOB", "NEXT", "SCHEDULE", "LAST", "RUN"] == lines[0].split()
    assert 4 == len(lines)
    assert lines[1].startswith("nightly  20")
    assert all(" 03:30+0" in line and "30 3 * * *" in line for line in lines[1:])
    assert "twelfth: no scheduler has run yet, so these jobs do not start: nightly. Try: twelfth up\n" == shown.stderr
    [value] = values
    assert ("nightly", 3, None, "Europe/Berlin") == (
        value["job"],
        len(value["next"]),
        value["last"],
        value["schedules"][0]["timezone"],
    )


def test_foreground_scheduler_exits_at_once(tmp_path: Path) -> None:
    """At TERM, with its exit code; it has written its heartbeat."""
    stack = Stack(tmp_path)
    command = [sys.executable, "-P", "-m", "twelfth", "schedule"]
    environment = {**os.environ, "INVOKE_ENGINE": "local", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert b"schedules of scheduled: nightly\n" == process.stdout.readline()
        assert eventually(lambda: bool(stack.heartbeats()))
        began = time.monotonic()
        process.terminate()
        assert 143 == process.wait(20)
        assert time.monotonic() - began < 5


def test_scheduler_does_not_turn_to_local_without_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack was deployed from another directory to a daemon that is away: its fires belong to it."""
    Stack(tmp_path)
    monkeypatch.setattr("twelfth.engines.choice.is_daemon_configured", lambda: False)
    context = Context(Config({"engine": "auto", "project": {"directory": str(tmp_path)}}))
    around = surroundings(context, load_stack(tmp_path, os.environ), UTC)
    with pytest.raises(EngineError, match="no Docker daemon is available, and scheduled is not up on local"):
        around.connect()


@pytest.mark.thorough
def test_scheduler_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It connects several times a minute."""
    monkeypatch.setenv("INVOKE_ENGINE", "local")
    stack = Stack(tmp_path)
    assert 0 == stack.type("up").returncode
    try:
        (tmp_path / "compose.yaml").write_text("services: [")
        context = Context(Config({"engine": "local", "project": {"directory": str(tmp_path)}}))
        around = surroundings(context, replace(load_names(ROOT, os.environ), directory=tmp_path), UTC)
        for _ in range(3):
            around.connect()
        assert 1 == capsys.readouterr().err.count("the stack that was deployed last")
    finally:
        (tmp_path / "compose.yaml").write_text(COMPOSE + JOBS)
        assert 0 == stack.type("down").returncode


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["schedule", "--json"], "--json needs --list. Try: twelfth schedule --list --json"),
        (["schedule"], "jobs.bad.triggers.schedule[0].cron is 61 * * * * (invalid minute). Try: write five fields"),
        (["config"], "jobs.bad.triggers.schedule[0].cron is 61 * * * * (invalid minute). Try: write five fields"),
    ],
)
def test_invalid_use_is_refused(tmp_path: Path, words: list[str], why: str) -> None:
    """Before anything is started."""
    stack = Stack(tmp_path)
    bad = '  bad: {command: [a], triggers: {schedule: ["61 * * * *"]}}\n'
    (tmp_path / "compose.yaml").write_text(COMPOSE + JOBS + bad * (words[-1] != "--json"))
    done = stack.type(*words)

    assert 2 == done.returncode
    assert why in done.stderr
