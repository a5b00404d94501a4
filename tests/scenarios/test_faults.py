"""Faults in a running stack: it recovers without help, and no number is returned twice or lost."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.real_redis import eventually
from tests.sample import FULL
from tests.scenarios.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project
    from tests.scenarios.load import Hit

pytestmark = pytest.mark.measures

ROUNDS = 3 if FULL else 1
PAUSED_SECONDS = 5 if FULL else 2
BACK_WITHIN = 2.0 if FULL else 10.0
"""Seconds after a fault's end in which the last request fails; for what is killed, that is the kill."""
SEED = 3


class Processes:
    """The replicas of a project as local processes."""

    def __init__(self, project: Project) -> None:
        """Take the project."""
        self.project, self.engine = project, project.engine()

    def process(self, name: str) -> int:
        """Return a replica's process."""
        if self.project.engine_name == "local":
            known = self.engine.supervisor._call("getAllProcessInfo")  # type: ignore[attr-defined] # noqa: SLF001
            return next(int(each["pid"]) for each in known if each["name"] == name)
        return int(self.engine.api.inspect_container(f"{self.project.name}-{name}")["State"]["Pid"])  # type: ignore[attr-defined]

    def kill(self, name: str) -> None:
        """Kill a replica."""
        os.kill(self.process(name), signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Pause a replica for a while."""
        process = self.process(name)
        os.kill(process, signal.SIGSTOP)
        time.sleep(PAUSED_SECONDS)
        os.kill(process, signal.SIGCONT)

    def reload(self, name: str) -> None:
        """Make HAProxy reload its file (`-W`, https://docs.haproxy.org/3.0/management.html#4)."""
        os.kill(self.process(name), signal.SIGUSR2)

    def cut_off(self, name: str) -> None:
        """Disconnect a replica from its network for a while."""
        api, network, container = self.engine.api, f"{self.project.name}_back", f"{self.project.name}-{name}"  # type: ignore[attr-defined]
        api.disconnect_container_from_network(container, network, force=True)
        time.sleep(PAUSED_SECONDS)
        api.connect_container_to_network(container, network, aliases=[name.partition("-")[0]])

    def are_up(self) -> bool:
        """Return whether all wanted replicas run."""
        return all(each.is_running for each in self.engine.observe().replicas)


FAULTS: dict[str, dict[str, Callable[[Processes], None]]] = {
    "local": {
        "Redis killed": lambda here: here.kill("redis-1"),
        "Redis paused": lambda here: here.pause("redis-1"),
        "a worker killed": lambda here: here.kill("worker-1"),
        "a worker paused": lambda here: here.pause("worker-2"),
        "the door killed": lambda here: here.kill("worker-proxy"),
    },
    "docker": {
        "Redis killed": lambda here: here.kill("redis-1"),
        "Redis paused": lambda here: here.pause("redis-1"),
        "Redis cut off": lambda here: here.cut_off("redis-1"),
        "a worker killed": lambda here: here.kill("worker-1"),
        "a worker paused": lambda here: here.pause("worker-2"),
        "the door reloaded": lambda here: here.reload("web-1"),
        "the door killed": lambda here: here.kill("web-1"),
    },
}


@dataclass(frozen=True)
class Happened:
    """A fault: its start, its end, and when the stack had recovered; on the monotonic clock."""

    name: str
    began: float
    ended: float
    settled: float

    def failed(self, hits: tuple[Hit, ...]) -> list[Hit]:
        """Return the requests that failed between the start of the fault and the recovery."""
        return [hit for hit in hits if hit.failure and hit.began <= self.settled and self.began <= hit.ended]

    def back_after(self, hits: tuple[Hit, ...]) -> float:
        """Return the seconds from the fault's end to the start of the last failed request, 0 for none."""
        return max((hit.began - self.ended for hit in self.failed(hits)), default=0.0)


def happen(name: str, here: Processes, load: Load) -> Happened:
    """Cause a fault, and return when the stack has recovered."""
    began = time.monotonic()
    FAULTS[here.project.engine_name][name](here)
    ended = time.monotonic()
    eventually(here.are_up, 30)
    load.settle(30)
    return Happened(name, began, ended, time.monotonic())


def test_faults_double_nothing_lose_nothing_and_pass(serving: Project, tell: Callable[[str], None]) -> None:
    """In an order and at moments from a fixed seed."""
    chance = random.Random(SEED)  # noqa: S311 - moments for a test
    url = serving.up("worker=2")
    here, found = Processes(serving), []
    names = [*FAULTS[serving.engine_name]] * ROUNDS
    with Load(url) as load:
        load.settle(30)
        for name in chance.sample(names, len(names)):
            time.sleep(chance.random())
            found.append(happen(name, here, load))
    figures = load.figures()
    tell(f"faults, {serving.engine_name}: {figures}")
    for each in found:
        failed = each.failed(figures.hits)
        why = ", ".join(sorted({hit.failure for hit in failed})) or "-"
        tell(f"  {each.name:18} {len(failed):5} failed, back after {each.back_after(figures.hits):4.1f} s  {why}")

    assert 0 == figures.repeated
    assert len(figures.numbers) <= figures.moved <= len(figures.hits)
    of_faults = {hit for each in found for hit in each.failed(figures.hits)}
    assert [] == [hit for hit in figures.hits if hit.failure and hit not in of_faults]
    assert BACK_WITHIN > max(each.back_after(figures.hits) for each in found)
    assert [] == [each for each in found if each.name == "the door reloaded" and each.failed(figures.hits)]
