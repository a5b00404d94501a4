"""Runs during changes of the leader and restarts of daemons: none happens twice, and each record is correct."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.sample import FULL
from tests.swarm.conftest import on_swarm, place_ingress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Project
    from tests.swarm.conftest import OnSwarm

pytestmark = [
    pytest.mark.measures,
    pytest.mark.skipif(not FULL, reason="TWELFTH_SCENARIOS=full has three managers change and start again"),
]

RUNS = 100
CHANGES = 5
"""The number of changes of the leader, and of restarts of the daemon on which the runs are started."""
BATCH = 20
"""The number of runs between two reads of the records, of which 50 are kept."""
LATER = 0.35
"""Seconds by which each disturbance comes later after the start of a run's command than the previous one."""
CODES = (0, 3)
"""The exit codes of the runs, by turns."""

CLIENT = """
import os, sys, time, redis
from redis.backoff import NoBackoff
from redis.retry import Retry
marks = redis.Redis(os.environ["HOST_REDIS"], int(os.environ["PORT_REDIS"]), retry=Retry(NoBackoff(), 0))
"""
"""Python code of a run; its client never sends a command twice."""
MARK = f"{CLIENT}marks.rpush('marks', sys.argv[1]); time.sleep(1); sys.exit(int(sys.argv[2]))"
MARKS = f"{CLIENT}print(*(mark.decode() for mark in marks.lrange('marks', 0, -1)))"


@dataclass(frozen=True)
class Outcome:
    """A run as its client saw it: its name, the expected exit code, and the actual one."""

    name: str
    expected: int
    code: int


def runs(
    project: Project, started: list[str], outcomes: list[Outcome], records: dict[str, tuple[str, int | None]]
) -> None:
    """Start the runs one after the other, each while the stack is up, and read their records."""
    for number in range(RUNS):
        assert eventually(lambda: project.invoke("status").returncode == 0, 120)
        name, expected = f"run-{number}", CODES[number % 2]
        started.append(name)
        run = project.invoke("run", "--reason", name, "--", "python", "-c", MARK, name, str(expected))
        outcomes.append(Outcome(name, expected, run.returncode))
        if number % BATCH == BATCH - 1 or number == RUNS - 1:
            records |= recorded(project)


def recorded(project: Project) -> dict[str, tuple[str, int | None]]:
    """Return the state and the exit code of each run's record, by its name; wait until the records can be read."""
    answers: list[str] = []

    def read() -> bool:
        answers[:] = [project.invoke("history", "--json").stdout]
        return bool(answers[0])

    assert eventually(read, 120)
    return {run["reason"]: (run["state"], run["exit_code"]) for run in json.loads(answers[0]) if run["reason"]}


def disturb(on: OnSwarm, number: int) -> None:
    """Change the leader, or restart the daemon on which the runs are started."""
    if number % 2:
        on.swarm.nodes[0].restart_daemon()
    else:
        on.swarm.change_leader()


def marks(on: OnSwarm) -> Counter[str]:
    """Return the number of marks of each run; wait until the stack is up again."""
    assert eventually(lambda: on.project.invoke("status").returncode == 0, 120)
    return Counter(on.project.invoke("run", "--", "python", "-c", MARKS).stdout.split())


def test_runs_happen_at_most_once_and_are_recorded_correctly(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Some pass, some fail, some lose their daemon: each has one mark if it happened, and one record."""
    started: list[str] = []
    outcomes: list[Outcome] = []
    records: dict[str, tuple[str, int | None]] = {}
    with on_swarm(tmp_path, nodes=3, managers=3) as on:
        place_ingress(on)
        up = on.project.invoke("up", "--accept-weaker")
        assert 0 == up.returncode, up.stderr
        client = threading.Thread(target=runs, args=(on.project, started, outcomes, records))
        client.start()
        for number in range(2 * CHANGES):
            enough = RUNS * (number + 1) // (2 * CHANGES + 1) + 1
            assert eventually(lambda enough=enough: len(started) >= enough or not client.is_alive(), 600)  # type: ignore[misc]
            time.sleep(LATER * number)  # before the run is made, while it is, and after it
            disturb(on, number)
        client.join()
        counts = marks(on)
    as_expected = [outcome for outcome in outcomes if outcome.code == outcome.expected]
    tell(
        f"{len(outcomes)} runs, {CHANGES} changes of the leader, {CHANGES} restarts: {len(as_expected)} as expected, "
        f"others with {dict(Counter(outcome.code for outcome in outcomes if outcome.code != outcome.expected))}; "
        f"{sum(counts.values())} marks of {len(counts)} runs, {len(records)} records"
    )

    assert RUNS == len(outcomes)
    assert not [name for name, count in counts.items() if count > 1]
    for outcome in as_expected:
        assert (1, ("failed" if outcome.expected else "done", outcome.expected)) == (
            counts[outcome.name],
            records.get(outcome.name),
        )
    for outcome in outcomes:
        state, code = records.get(outcome.name, ("", None))
        assert state != "running", outcome
        assert counts[outcome.name] or state != "done", outcome
        assert state or not counts[outcome.name], outcome
        assert code != outcome.expected or counts[outcome.name], outcome
    assert as_expected
