"""Notifications of the ends of runs and changes, at least once; on the engine in memory, with a real receiver."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded, eventually
from tests.memory_engine import KilledProcessError, Memory, MemoryState, World
from tests.receiver import Receiver
from twelfth.errors import EngineError, JobRunningError
from twelfth.model.job import Changes, Job, Notify
from twelfth.model.record import PAUSES, Delivery, Record, delivery_from_json
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.runs.history import Query, find_record, history
from twelfth.runs.ledger import Ledger
from twelfth.runs.manage import stop
from twelfth.runs.notification_content import LONGEST_OUTPUT, content
from twelfth.runs.notifications import AT_ONCE, deliver_due
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.runs.start import start_attached, start_detached
from twelfth.stack import lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twelfth.model.run import RunRequest

WORKER = Service("worker", "app:one", stop_grace=1)
FAILED = Record("00000000", "up", "ann", "memory", "2026-01-01T00:00:00+00:00", state="failed", notify="failure")
GENEROUS = 4.0
"""Seconds within which a command exits whose notification takes 1 s, on a busy machine."""


@pytest.fixture
def receiver() -> Receiver:
    """Return a receiver that does not listen yet."""
    return Receiver()


@pytest.fixture
def warnings() -> list[str]:
    """Return where warnings are collected."""
    return []


def engine_with(notify: Notify | None, *jobs: Job) -> Memory:
    """Return an engine with one replica that runs can be made from."""
    stack = Stack("shop", Path("/"), (WORKER,), notify=notify, jobs=jobs)
    engine = Memory(stack, World(images=["app:one"]))
    engine.create_replica(WORKER, 1)
    return engine


@pytest.fixture
def engine(receiver: Receiver) -> Memory:
    """Return an engine that reports failures."""
    return engine_with(Notify(url=receiver.url))


def request(engine: Memory, *command: str, **settings: object) -> RunRequest:
    """Return a request for a run without input."""
    return new_request(command, choose_source(engine), **{"interactive": False, **settings})


def attached(engine: Memory, say: Callable[[str], None], *command: str, **settings: object) -> str:
    """Start a run with a client, and return its id."""
    run = request(engine, *command, **settings)
    start_attached(engine, run, say)
    return run.id


def after(**time: float) -> datetime:
    """Return a later time."""
    return datetime.now(UTC) + timedelta(**time)


def delivery(engine: Memory, run_id: str) -> Delivery | None:
    """Return how far the notification of a record is."""
    return find_record(engine, run_id).notified


def test_failure_is_reported_when_the_command_exits(engine: Memory, receiver: Receiver, warnings: list[str]) -> None:
    """Who, what and how it ended, but no value of an override; the next command repeats nothing."""
    with receiver.listening("ok"):
        settings = {"reason": "ticket 7", "environment": (("TOKEN", "hush"),)}
        run_id = attached(engine, warnings.append, "sh", "-c", "echo one; exit 3", **settings)
        deliver_due(engine, after(hours=1))

    (values,) = receiver.received
    expected: dict[str, object] = {"id": run_id, "kind": "run", "project": "shop", "engine": "memory", "exit_code": 3}
    expected |= {"command": ["sh", "-c", "echo one; exit 3"], "reason": "ticket 7", "state": "failed", "job": ""}
    assert expected == {name: values[name] for name in expected}
    assert {"operator", "host", "trigger", "seconds", "started", "finished", "error", "release_before"} <= values.keys()
    assert values["logs"].endswith(f" logs --run {run_id}")
    assert ("output" not in values, "hush" not in json.dumps(values), []) == (True, True, warnings)
    kept = delivery(engine, run_id)
    assert kept is not None
    assert (1, "", True) == (kept.attempts, kept.next, bool(kept.delivered))
    assert [run_id] == receiver.keys


def test_success_and_a_stopped_run_are_reported_only_if_declared(receiver: Receiver) -> None:
    """With `on: always`."""
    with receiver.listening("ok"):
        for on, states in (("failure", []), ("always", ["done", "stopped"])):
            engine = engine_with(Notify(on, receiver.url))
            attached(engine, print, "true")
            stop(engine, start_detached(engine, request(engine, "sleep", "60"), print), print)
            deliver_due(engine, after(minutes=1))

            assert states == [values["state"] for values in receiver.received]


def test_job_has_a_separate_receiver(receiver: Receiver) -> None:
    """All others have that of the file."""
    job = Job("backup", Changes(WORKER), notify=Notify("always", receiver.url))
    engine = engine_with(None, job)
    with receiver.listening("ok"):
        attached(engine, print, "false")
        run_id = attached(engine, print, "true", job="backup")

    assert [(run_id, "backup")] == [(values["id"], values["job"]) for values in receiver.received]


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("down", "fails (Connection refused)"),
        ("slow", "took too long"),
        ("500", "answered 500"),
        ("half", "closed the connection without an answer"),
        ("silent", "closed the connection without an answer"),
        ("redirect", "answered 307"),
    ],
)
def test_receiver_that_fails_gets_each_failure_later(
    engine: Memory, receiver: Receiver, warnings: list[str], behaviour: str, why: str
) -> None:
    """The exit waits for it 1 s at most; the warning shows neither the URL's path nor a traceback."""
    with receiver.listening(behaviour):
        began = time.monotonic()
        run = request(engine, "sh", "-c", "exit 3")
        assert 3 == start_attached(engine, run, warnings.append)
        assert time.monotonic() - began < GENEROUS
        deliver_due(engine, after(seconds=50))

    (warning,) = warnings
    origin = receiver.url.rpartition("/")[0]
    assert f"the notification of run {run.id} was not delivered: {origin} {why}; it is sent again later" == warning
    assert (1, "") == ((kept := delivery(engine, run.id)) and (kept.attempts, kept.delivered))
    assert [] == receiver.ids
    with receiver.listening("ok"):
        for minutes in (2, 3, 60):
            deliver_due(engine, after(minutes=minutes), warnings.append)
    assert ([run.id], 1, 1) == (receiver.ids, len(receiver.received), len(warnings))


def test_notification_is_given_up_after_a_day(engine: Memory, receiver: Receiver, warnings: list[str]) -> None:
    """After some attempts with longer and longer pauses; the last failure is reported, and nothing follows."""
    run_id = attached(engine, warnings.append, "false")
    now = datetime.now(UTC)
    for pause in PAUSES:
        now += pause + timedelta(seconds=1)
        deliver_due(engine, now, warnings.append)
    deliver_due(engine, now + timedelta(hours=1), warnings.append)

    first, last = warnings
    assert (True, True) == (first.endswith("; it is sent again later"), last.endswith("; it was the last attempt"))
    assert Delivery(len(PAUSES) + 1) == delivery(engine, run_id)
    assert timedelta(hours=20) < sum(PAUSES, timedelta()) < timedelta(hours=28)
    with receiver.listening("ok"):
        deliver_due(engine, now + timedelta(hours=2))
    assert [] == receiver.received


class Interrupted(MemoryState):
    """A state whose process is killed before one of its writes, and does nothing more."""

    writes = 0
    killed_at = -1

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write, unless the process was killed."""
        if 0 <= self.killed_at <= self.writes:
            raise KilledProcessError
        self.writes += 1
        super().write(files)


@pytest.mark.parametrize("killed_at", range(4))
@pytest.mark.parametrize("behaviour", ["ok", "silent"])
def test_client_that_is_killed_loses_no_notification(
    engine: Memory, receiver: Receiver, killed_at: int, behaviour: str
) -> None:
    """Before its run is recorded there is nothing to report; before the end, and before the delivery is recorded."""
    client = Memory(engine.stack, engine.world)
    client.__dict__["state"] = state = Interrupted(engine.world)
    state.killed_at = killed_at
    run = request(engine, "false")
    with receiver.listening(behaviour), contextlib.suppress(KilledProcessError):
        start_attached(client, run, print)
    assert state.writes == killed_at
    with receiver.listening("ok"):
        for minutes in (1, 2, 60):
            deliver_due(engine, after(minutes=minutes))

    is_recorded = killed_at > 1  # the first write creates the ledger
    assert ([run.id] if is_recorded else []) == receiver.ids
    assert len(receiver.received) <= 2
    assert [run.id] * is_recorded == [record.id for record in history(engine, Query()) if record.has_ended]


def test_run_whose_client_was_killed_is_reported_by_another_process(engine: Memory, receiver: Receiver) -> None:
    """Also one without a client; not in the first seconds, in which a client may be about to report it."""
    run_id = start_detached(engine, request(engine, "sh", "-c", "sleep 0.2; exit 1"), print)
    assert eventually(lambda: engine.world.runs[run_id].code is not None)
    with receiver.listening("ok"):
        deliver_due(engine, after(seconds=2))
        assert [] == receiver.ids
        deliver_due(engine, after(seconds=10))

    assert [run_id] == receiver.ids


def test_next_run_repeats_a_notification(
    engine: Memory, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    """While it is running; the exit code is its own."""
    monkeypatch.setattr("twelfth.model.record.PAUSES", (timedelta(), timedelta(hours=1)))
    run_id = attached(engine, warnings.append, "false")
    with receiver.listening("ok"):
        assert 0 == start_attached(engine, request(engine, "sleep", "0.2"), warnings.append)

    assert ([run_id], 1) == (receiver.keys, len(warnings))


def test_fire_leaves_other_notifications_to_its_scheduler(
    engine: Memory, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many fires start at the same moment, and each would send the same."""
    monkeypatch.setattr("twelfth.model.record.PAUSES", (timedelta(), timedelta(hours=1)))
    attached(engine, lambda _: None, "false")
    with receiver.listening("ok"):
        fire = attached(engine, print, "sh", "-c", "sleep 0.2; exit 1", trigger="schedule")

    assert [fire] == receiver.keys


@pytest.mark.parametrize(("state", "is_reported"), [("not started", True), ("unknown", True), ("stopped", False)])
def test_outcome_that_no_process_saw_is_a_failure(
    engine: Memory, receiver: Receiver, state: str, *, is_reported: bool
) -> None:
    """Such as of a change whose process was killed, or of a fire that did not start."""
    now = datetime.now(UTC)
    Ledger(engine.state).end([replace(FAILED, started=now.isoformat(), command=("a",)).ended(state, now)])
    with receiver.listening("ok"):
        deliver_due(engine, now)

    assert [state] * is_reported == [values["state"] for values in receiver.received]


def test_fire_that_waits_is_not_reported(engine: Memory, receiver: Receiver) -> None:
    """It is recorded when it is due; a scheduler completes the record if it is not started."""
    fire = replace(FAILED, command=("a",), trigger="schedule", state="created", started=after(minutes=-5).isoformat())
    Ledger(engine.state).start(fire)
    with receiver.listening("ok"):
        deliver_due(engine, after(hours=1))
        assert [] == receiver.received
        Ledger(engine.state).end([fire.ended("not started", datetime.now(UTC))])
        deliver_due(engine, datetime.now(UTC))

    assert ["not started"] == [values["state"] for values in receiver.received]


def test_run_that_did_not_start_is_reported(engine: Memory, receiver: Receiver) -> None:
    """With the error, which the client also raises."""
    engine.world.failures["run true"] = EngineError("the daemon is gone")
    with receiver.listening("ok"), pytest.raises(EngineError, match="the daemon is gone"):
        attached(engine, print, "true")

    (values,) = receiver.received
    assert ("not started", "the daemon is gone", None) == (values["state"], values["error"], values["exit_code"])


def test_run_that_waits_for_its_turn_is_not_reported(
    engine: Memory, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start is refused and repeated with the same id; only its end counts."""
    refusals = iter([JobRunningError("another one is running")])

    def admit(*_: object) -> None:
        for refusal in refusals:
            raise refusal

    monkeypatch.setattr("twelfth.runs.recording.admit", admit)
    with receiver.listening("ok"):
        run_id = attached(engine, print, "false", job="job", concurrency="queue")
        deliver_due(engine, after(minutes=1))

    assert [(run_id, "failed")] == [(values["id"], values["state"]) for values in receiver.received]


def test_failure_is_reported_although_it_cannot_be_recorded(engine: Memory, receiver: Receiver) -> None:
    """Such as on a full disk."""
    run = request(engine, "false", must_be_recorded=False)
    engine.world.failures["write state"] = EngineError("no space left")
    with receiver.listening("ok"):
        start_attached(engine, run, print)

    assert [run.id] == receiver.ids


def test_output_is_sent_only_if_declared(receiver: Receiver) -> None:
    """The last lines of both streams, whatever bytes they are."""
    engine = engine_with(Notify(url=receiver.url, output=2))
    with receiver.listening("ok"):
        attached(engine, print, "sh", "-c", "echo one; echo two >&2; echo three; exit 1")

    assert "two\nthree\n" == receiver.received[0]["output"]


def test_output_is_text_of_limited_size() -> None:
    """Any bytes are, and the last ones count."""
    values = json.loads(content(FAILED, "shop", b"x" * LONGEST_OUTPUT + b"\xff\x00end"))

    assert (True, LONGEST_OUTPUT) == (values["output"].endswith("\ufffd\0end"), len(values["output"]))
    assert "logs" not in values


def test_command_gets_the_content(tmp_path: Path, warnings: list[str]) -> None:
    """On its standard input, in the project's directory; its output is not shown."""
    script = "import os, sys; open(sys.argv[1], 'w').write(os.getcwd() + ' ' + sys.stdin.read()); print('noise')"
    engine = engine_with(Notify(command=(sys.executable, "-c", script, str(tmp_path / "got"))))
    run_id = attached(engine, warnings.append, "false")

    directory, _, text = (tmp_path / "got").read_text().partition(" ")
    assert ("/", run_id, []) == (directory, json.loads(text)["id"], warnings)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("sh", "-c", "exit 3"), "sh exited with code 3"),
        (("sh", "-c", "sleep 60"), "sh took too long"),
        (("no-such-program", "hush"), "no-such-program cannot be executed (No such file or directory)"),
    ],
)
def test_command_that_fails_is_repeated(warnings: list[str], command: tuple[str, ...], why: str) -> None:
    """One that takes too long is killed; the warning shows no arguments."""
    engine = engine_with(Notify(command=command))
    run_id = attached(engine, warnings.append, "false")

    assert [f"the notification of run {run_id} was not delivered: {why}; it is sent again later"] == warnings


def test_url_that_hangs_does_not_delay_the_command(receiver: Receiver, tmp_path: Path, warnings: list[str]) -> None:
    """Both have the same time."""
    command = ("sh", "-c", f"sleep 0.3; cat >{tmp_path}/got")
    engine = engine_with(Notify(url=receiver.url, command=command))
    with receiver.listening("slow"):
        attached(engine, warnings.append, "false")

    assert (tmp_path / "got").exists()
    assert [" took too long" in line and "sh " not in line for line in warnings] == [True]


def test_failed_changes_are_reported(engine: Memory, receiver: Receiver) -> None:
    """Each deploy, rollback and change of scale; its error is the first line."""
    engine.world.failures["clone worker-1 as worker-2"] = EngineError("no space left\nmore")
    with receiver.listening("ok"):
        for service in (replace(WORKER, replicas=2), WORKER):
            with contextlib.suppress(EngineError):
                lifecycle.scale(engine, service, Recorded())
            deliver_due(engine, after(seconds=10))

    (values,) = receiver.received
    assert ("scale", "worker=2", "failed", "no space left") == tuple(
        values[name] for name in ("kind", "what", "state", "error")
    )


def test_few_notifications_are_sent_at_a_time(engine: Memory, receiver: Receiver, warnings: list[str]) -> None:
    """The oldest first; the others with the next command. There is one warning about all that failed."""
    ids = [f"{number:08x}" for number in range(AT_ONCE + 3)]
    moments = [after(minutes=number - 100).isoformat() for number in range(len(ids))]
    Ledger(engine.state).end(
        replace(FAILED, id=name, started=moment) for name, moment in zip(ids, moments, strict=True)
    )
    deliver_due(engine, after(minutes=1), warnings.append)
    assert 1 == len(warnings)
    with receiver.listening("ok"):
        deliver_due(engine, after(minutes=1))
        assert ids[AT_ONCE:] == sorted(receiver.ids)
        deliver_due(engine, after(minutes=3))

    assert ids == sorted(receiver.ids)


def test_receiver_that_was_removed_gets_nothing(engine: Memory, receiver: Receiver) -> None:
    """Neither now nor if it is declared again."""
    run_id = attached(engine, print, "false")
    other = Job("other", Changes(WORKER), notify=Notify(url=receiver.url))
    without = engine.with_stack(replace(engine.stack, notify=None, jobs=(other,)))
    with receiver.listening("ok"):
        deliver_due(without, after(hours=1))
        deliver_due(engine, after(hours=2))

    assert ([], Delivery(2)) == (receiver.received, delivery(engine, run_id))


def test_nothing_is_stored_or_imported_without_notify() -> None:
    """A run costs what it cost before."""
    modules = "twelfth.runs.notifications", "twelfth.runs.receivers", "urllib.request"
    before = {name: sys.modules.pop(name, None) for name in modules[:2]}
    engine = engine_with(None)
    attached(engine, print, "false")
    try:
        assert not set(modules[:2]) & sys.modules.keys()
    finally:
        sys.modules.update({name: module for name, module in before.items() if module})
    assert 3 == len(engine.world.files)
    assert not any(path.endswith(".notified") for path in engine.world.files)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"attempts": 1, "next": "soon"}', b'{"tries": 1}'])
def test_damaged_delivery_counts_as_none(text: bytes) -> None:
    """So that the notification is sent again."""
    assert delivery_from_json(text) is None
