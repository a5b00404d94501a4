"""Runs over changes of the leader and restarts of daemons: none is done twice, and each record is true."""

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
from tests.swarm.conftest import on_swarm, place_door

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
"""How often another manager leads, and how often the daemon on which the runs are made is restarted."""
BATCH = 20
"""How many runs are made before their records are read: 50 are kept."""
LATER = 0.35
"""Seconds by which each disturbance comes later after the beginning of a run's command than the one before."""
CODES = (0, 3)
"""What the runs end with by turns, after their mark."""

CLIENT = """
import os, sys, time, redis
from redis.backoff import NoBackoff
from redis.retry import Retry
marks = redis.Redis(os.environ["HOST_REDIS"], int(os.environ["PORT_REDIS"]), retry=Retry(NoBackoff(), 0))
"""
"""Python in a run, which sends nothing a second time."""
MARK = f"{CLIENT}marks.rpush('marks', sys.argv[1]); time.sleep(1); sys.exit(int(sys.argv[2]))"
MARKS = f"{CLIENT}print(*(mark.decode() for mark in marks.lrange('marks', 0, -1)))"


@dataclass(frozen=True)
class Asked:
    """A run as its client saw it: its name, the exit code that it was to have, and the one that it had."""

    name: str
    wanted: int
    code: int


def runs(project: Project, begun: list[str], found: list[Asked], records: dict[str, tuple[str, int | None]]) -> None:
    """Make the runs, each when the stack was up a moment ago, and keep what the record says of it."""
    for number in range(RUNS):
        assert eventually(lambda: project.invoke("status").returncode == 0, 120)
        name, wanted = f"run-{number}", CODES[number % 2]
        begun.append(name)
        ended = project.invoke("run", "--reason", name, "--", "python", "-c", MARK, name, str(wanted))
        found.append(Asked(name, wanted, ended.returncode))
        if number % BATCH == BATCH - 1 or number == RUNS - 1:
            records |= recorded(project)


def recorded(project: Project) -> dict[str, tuple[str, int | None]]:
    """Return the state and the exit code in the record of each run, by its name, as soon as the record can be read."""
    answers: list[str] = []

    def read() -> bool:
        answers[:] = [project.invoke("history", "--json").stdout]
        return bool(answers[0])

    assert eventually(read, 120)
    return {each["reason"]: (each["state"], each["exit_code"]) for each in json.loads(answers[0]) if each["reason"]}


def disturb(made: OnSwarm, number: int) -> None:
    """Have another manager lead, or the daemon on which the runs are made begin again."""
    if number % 2:
        made.swarm.nodes[0].restart_daemon()
    else:
        made.swarm.change_leader()


def marks(made: OnSwarm) -> Counter[str]:
    """Return how often each run has left its mark, as soon as the stack is up again."""
    assert eventually(lambda: made.project.invoke("status").returncode == 0, 120)
    return Counter(made.project.invoke("run", "--", "python", "-c", MARKS).stdout.split())


def test_runs_are_done_at_most_once_and_recorded_as_they_ended(tmp_path: Path, tell: Callable[[str], None]) -> None:
    """Some pass, some fail, some lose their daemon: one mark each where they were done, one record, and no other."""
    begun: list[str] = []
    found: list[Asked] = []
    records: dict[str, tuple[str, int | None]] = {}
    with on_swarm(tmp_path, nodes=3, managers=3) as made:
        place_door(made)
        up = made.project.invoke("up", "--accept-weaker")
        assert 0 == up.returncode, up.stderr
        client = threading.Thread(target=runs, args=(made.project, begun, found, records))
        client.start()
        for number in range(2 * CHANGES):
            enough = RUNS * (number + 1) // (2 * CHANGES + 1) + 1
            assert eventually(lambda enough=enough: len(begun) >= enough or not client.is_alive(), 600)  # type: ignore[misc]
            time.sleep(LATER * number)  # before the run is made, while it is, and after it
            disturb(made, number)
        client.join()
        left = marks(made)
    as_asked = [each for each in found if each.code == each.wanted]
    tell(
        f"{len(found)} runs, {CHANGES} changes of the leader, {CHANGES} restarts: {len(as_asked)} ended as asked, "
        f"others with {dict(Counter(each.code for each in found if each.code != each.wanted))}; "
        f"{sum(left.values())} marks of {len(left)} runs, {len(records)} records"
    )

    assert RUNS == len(found)
    assert not [name for name, count in left.items() if count > 1]
    for each in as_asked:
        assert (1, ("failed" if each.wanted else "done", each.wanted)) == (left[each.name], records.get(each.name))
    for each in found:
        state, code = records.get(each.name, ("", None))
        assert state != "running", each
        assert left[each.name] or state != "done", each
        assert state or not left[each.name], each
        assert code != each.wanted or left[each.name], each
    assert as_asked
