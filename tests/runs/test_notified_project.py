"""Notifications of a project on this machine: real clients that are killed, deploys and rollbacks, and a command."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT, eventually
from tests.receiver import Receiver
from twelfth.engines import choice
from twelfth.runs.notifications import deliver_due
from twelfth.stack import load
from twelfth.state_home import state_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = """
x-twelfth: {runs-from: app, notify: {on: "${ON:-failure}", url: "${HOOK}"}}
x-jobs:
  mail: {command: [sh, -c, "exit 4"], x-twelfth: {notify: {command: [sh, -c, "cat >>mails"]}}}
services:
  app:
    image: ${COMPOSE_PROJECT_NAME}
    build: .
    x-local: {command: [sh, -c, "${COMMAND:-exec sleep 600}"]}
    stop_grace_period: 1s
    deploy: {update_config: {monitor: 200ms}}
"""
GENEROUS = 5.0
"""Seconds that a command may take longer because of a notification, which is 1 s on an idle machine."""


class Stack:
    """The project, as its owner has it."""

    def __init__(self, directory: Path) -> None:
        """Write the files; nothing runs yet."""
        self.directory, self.receiver = directory, Receiver()
        names = {"COMPOSE_PROJECT_NAME": f"t{secrets.token_hex(4)}", "HOOK": self.receiver.url}
        names |= {"INVOKE_ENGINE": "local", "PYTHONPATH": str(ROOT)}
        self.environment = dict(os.environ) | names
        (directory / "compose.yaml").write_text(FILE)
        (directory / "Dockerfile").write_text("FROM scratch\n")

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start the console script there."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "twelfth", *words],
            cwd=self.directory,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def twelfth(self, *words: str, **variables: str) -> tuple[int, str, str]:
        """Run the console script there, and return its exit code and output."""
        with self.start(*words, **variables) as client:
            out, err = client.communicate(timeout=60)
        return client.returncode, out, err

    def history(self) -> list[dict[str, Any]]:
        """Return the records, the oldest first."""
        records: list[dict[str, Any]] = json.loads(self.twelfth("history", "--json")[1])
        return records

    def deliver_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Send what is due after some minutes, as the scheduler does."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        engine = choice.choose("local", load.load_names(self.directory, self.environment))
        deliver_due(engine, datetime.now(UTC) + timedelta(minutes=2))

    def ledger(self) -> list[str]:
        """Return the names of the files in the ledger."""
        return [path.name for path in state_home(self.environment["COMPOSE_PROJECT_NAME"]).rglob("ledger/0*/*")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return the project, which is up."""
    stack = Stack(tmp_path_factory.mktemp("notified"))
    assert 0 == stack.twelfth("up")[0]
    yield stack
    assert 0 == stack.twelfth("down", "--volumes", "--history", "--yes")[0]


@pytest.fixture
def receiver(stack: Stack) -> Receiver:
    """Return the project's receiver, without what it received before."""
    stack.receiver.received.clear()
    stack.receiver.keys.clear()
    return stack.receiver


def test_slow_receiver_delays_the_exit_by_a_second(stack: Stack, receiver: Receiver) -> None:
    """The exit code and standard output are those of the run; standard error has one line more."""
    began = time.monotonic()
    stack.twelfth("run", "--", "true")
    usual = time.monotonic() - began
    with receiver.listening("slow"):
        began = time.monotonic()
        code, out, err = stack.twelfth("run", "--", "sh", "-c", "echo out; exit 3")
        delayed = time.monotonic() - began

    assert (3, "out\n") == (code, out)
    assert delayed < usual + GENEROUS
    assert (1, False, True) == (len(err.splitlines()), "hush" in err, "was not delivered" in err)


def test_killed_clients_lose_no_failure(stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the run is running, and while the receiver reads; each arrives, and is shown as delivered."""
    with receiver.listening("slow"):
        first = stack.start("run", "--", "sh", "-c", "echo one; sleep 0.5; exit 5")
        assert first.stdout is not None
        assert "one\n" == first.stdout.readline()
        _kill(first)
        second = stack.start("run", "--", "sh", "-c", "exit 6")
        assert eventually(lambda: len(receiver.keys) > 0 or second.poll() is not None)
        _kill(second)
    assert eventually(lambda: {5, 6} <= {record["exit_code"] for record in stack.history()})
    with receiver.listening("ok"):
        stack.deliver_later(monkeypatch)

    ids = {record["id"]: record for record in stack.history() if record["exit_code"] in {5, 6}}
    assert ids.keys() <= set(receiver.ids)
    assert all(record["notified"]["delivered"] for record in ids.values())
    code, out, _ = stack.twelfth("history", next(iter(ids)))
    assert (0, True) == (code, bool(re.search(r"^notified +2.*attempt", out, re.MULTILINE)))


def _kill(client: subprocess.Popen[str]) -> None:
    client.kill()
    with client:
        client.wait()


def test_deploys_and_rollbacks_are_reported(stack: Stack, receiver: Receiver) -> None:
    """With the releases before and after; a failed one is reported with its error, and only that by default."""
    with receiver.listening("ok"):
        (stack.directory / "new").write_text("new\n")
        assert 0 == stack.twelfth("up", ON="always")[0]
        assert 0 == stack.twelfth("rollback", ON="always")[0]
        assert 0 == stack.twelfth("up")[0]
        assert 0 != stack.twelfth("up", COMMAND="echo broken; exit 1")[0]

    deploy, rollback, failed = receiver.received
    assert [("up", "done"), ("rollback", "done"), ("up", "failed")] == [
        (values["kind"], values["state"]) for values in (deploy, rollback, failed)
    ]
    assert (deploy["release"], deploy["release_before"]) == (rollback["release_before"], rollback["release"])
    assert (True, False) == (bool(failed["error"]), "logs" in failed)


def test_command_of_a_job_is_executed_in_the_directory(
    stack: Stack, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of the receiver of the file; nothing of a run that succeeds is stored."""
    with receiver.listening("ok"):
        assert 4 == stack.twelfth("mail")[0]
        stack.deliver_later(monkeypatch)  # a busy machine may not read the Compose file within a second
        before = set(stack.ledger())
        assert 0 == stack.twelfth("run", "--", "true")[0]

    values = json.loads((stack.directory / "mails").read_text())
    assert ("mail", 4, []) == (values["job"], values["exit_code"], receiver.received)
    assert not [name for name in set(stack.ledger()) - before if name.endswith(".notified")]


def test_compose_file_that_cannot_be_read_is_one_warning(stack: Stack, receiver: Receiver) -> None:
    """The notification follows when it can be read again."""
    path = stack.directory / "compose.yaml"
    location = next(stack.directory.glob(".twelfth/*.json"))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(path.write_text, FILE)
        cleanup.callback(location.write_text, location.read_text())
        path.write_text("services: [\n")
        code, _, err = stack.twelfth("run", "--", "sh", "-c", "exit 7")

    assert (7, 1) == (code, err.count("was not delivered: cannot read compose.yaml"))
    assert [] == receiver.keys
