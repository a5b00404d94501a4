"""One run of a job at a time: what is refused and what waits, also if several are started at the same moment."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.memory_engine import Memory, Process, World
from twelfth.errors import JobRunningError
from twelfth.model.job import FORBID, QUEUE
from twelfth.model.run import Run, RunRequest
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.runs import concurrency
from twelfth.runs.concurrency import blocking
from twelfth.runs.history import Query, history
from twelfth.runs.manage import stop
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.runs.start import start_attached, start_detached

WORKER = Service("worker", "app:one", stop_grace=1)
RUN = Run("a", ("x",), "memory", "", "", "ann", "", (), "", "", None, "created", None, job="nightly")


@pytest.fixture
def engine() -> Memory:
    """Return an engine with one replica that runs can be made from."""
    engine = Memory(Stack("shop", Path(), (WORKER,)), World(images=["app:one"]))
    engine.create_replica(WORKER, 1)
    return engine


def request(engine: Memory, *command: str, job: str = "nightly", how: str = FORBID) -> RunRequest:
    """Return a request for a run of a job."""
    source = choose_source(engine)
    return new_request(command, source, job=job, concurrency=how, operator="ann", interactive=False)


@dataclass(frozen=True)
class Client:
    """A client that starts a run, at one step of that; `stamp` is when the run was created."""

    stamp: int = 0
    step: str = "new"
    decision: str = ""

    def run(self, name: str) -> Run | None:
        """Return the run as others see it."""
        if self.step not in {"created", "running"}:
            return None
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.stamp)
        return replace(
            RUN, id=name, started=moment.isoformat(), state="running" if self.step == "running" else "created"
        )


def step(clients: tuple[Client, ...], index: int) -> Client | None:
    """Return a client after its next step, None if it has none."""
    client = clients[index]
    match client.step:
        case "new":  # the engine notes the time, and lists the run some time later
            return replace(client, step="stamped", stamp=1 + max(other.stamp for other in clients))
        case "stamped":
            return replace(client, step="created")
        case "created" if not client.decision:
            runs = {name: run for name, other in enumerate(clients) if (run := other.run(str(name)))}
            created = runs.pop(index)
            refused = blocking(created, runs.values())
            return replace(client, decision="refused" if refused else "wait" if runs else "start")
        case "created":
            after = {"refused": "gone", "start": "running", "wait": "created"}
            return replace(client, step=after[client.decision], decision="")
    return None


@pytest.mark.parametrize("count", [2, 3])
def test_one_of_several_starts_in_every_order_of_their_steps(count: int) -> None:
    """However late the engine lists a run, and however long a client takes between looking and starting."""
    first = (Client(),) * count
    seen, todo, outcomes = {first}, [first], set[int]()
    while todo:
        clients = todo.pop()
        steps = [(index, after) for index in range(count) if (after := step(clients, index))]
        assert sum(client.step == "running" for client in clients) <= 1
        if not steps:
            outcomes.add(sum(client.step == "running" for client in clients))
        for index, after in steps:
            following = (*clients[:index], after, *clients[index + 1 :])
            if following not in seen:
                seen.add(following)
                todo.append(following)

    assert {1} == outcomes


def test_second_run_is_refused_by_the_name_of_the_first(engine: Memory) -> None:
    """It is recorded as not started; other jobs, and other commands, start."""
    first = start_detached(engine, request(engine, "sleep", "30"), print)
    why = f"^cannot start nightly: run {first} of ann is still running. Try: invoke history {first}$"
    with pytest.raises(JobRunningError, match=why):
        start_detached(engine, request(engine, "true"), print)

    assert 0 == start_attached(engine, request(engine, "true", job="other"), print)
    assert 0 == start_attached(engine, request(engine, "true", job="", how=""), print)
    assert ["running", "not started", "done", "done"] == [record.state for record in history(engine, Query())]


def test_run_in_a_queue_waits_with_one_line(engine: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it exists meanwhile, so Ctrl-C leaves nothing."""
    monkeypatch.setattr(concurrency, "WAIT_EVERY", 0.01)
    first, said = start_detached(engine, request(engine, "sleep", "30"), print), list[str]()
    second = threading.Thread(target=start_detached, args=(engine, request(engine, "true", how=QUEUE), said.append))
    second.start()

    assert eventually(lambda: bool(said))
    assert [first] == list(engine.world.runs)
    stop(engine, first, print)
    second.join(10)
    assert [f"waiting for run {first} of nightly, which ann started"] == said
    assert ["stopped", "done"] == [record.state for record in history(engine, Query())]


@pytest.mark.parametrize(("age", "is_refused"), [(50, True), (70, False)])
def test_run_of_a_killed_client_counts_for_a_minute(engine: Memory, age: int, *, is_refused: bool) -> None:
    """After that, its client no longer starts it."""
    process = Process(engine.world, request(engine, "true"), {}, 1)
    process.started = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    engine.world.runs["0"] = process
    try:
        assert 0 == start_attached(engine, request(engine, "true"), print)
    except JobRunningError:
        assert is_refused
    else:
        assert not is_refused


@pytest.mark.parametrize(("how", "started"), [(FORBID, 1), (QUEUE, 4)])
def test_of_runs_that_start_at_the_same_moment_one_is_running(
    engine: Memory, monkeypatch: pytest.MonkeyPatch, how: str, started: int
) -> None:
    """The others are refused, or run later."""
    monkeypatch.setattr(concurrency, "WAIT_EVERY", 0.01)
    most = 0

    def start() -> None:
        with contextlib.suppress(JobRunningError):
            start_detached(engine, request(engine, "sleep", "0.1", how=how), lambda _: None)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or any(run.is_running for run in engine.runs.records()):
        most = max(most, sum(run.is_running for run in engine.runs.records()))

    assert (1, started) == (most, len([run for run in engine.runs.records() if run.state == "done"]))
