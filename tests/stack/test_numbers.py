"""Replicas keep their numbers across deploys, also if `up` is killed at any change; in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import KilledProcessError, Memory, World
from twelfth.errors import EngineError
from twelfth.model.service import Service
from twelfth.model.snapshot import Health, Replica, Snapshot
from twelfth.model.stack import Network, Stack
from twelfth.stack import deploy
from twelfth.stack.rollout import roll
from twelfth.stack.steps import RemoveReplica

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORKER = Service("worker", "app:1", replicas=3, networks=("front",), monitor=0)
WEB = Service("web", "web:1", networks=("front",), depends_on=("worker",), monitor=0)
ALONE = replace(WORKER, networks=())
MOST_CHANGES = 30
RECIPE = {"image": "app:2"}


@dataclass
class Counting(World):
    """A world that notes the changes at which too few replicas serve or too many run."""

    wrong: list[str] = field(default_factory=list)

    def begin(self, change: str) -> None:
        """Count the workers before each change of a deploy."""
        workers = [replica for replica in self.replicas.values() if replica.service == "worker"]
        running = sum(replica.is_running for replica in workers)
        if self.kill_at is not None and not (sum(replica.serves for replica in workers) >= 3 and running <= 4):
            self.wrong.append(change)
        super().begin(change)


class Site:
    """A stack with three workers, deployed with one environment after the other."""

    def __init__(self, directory: Path, worker: Service = WORKER) -> None:
        """Deploy it for the first time."""
        self.world, self.directory, self.worker = Counting(), directory, worker
        self.deploy("one")

    def engine(self, value: str) -> Memory:
        """Return an engine for the stack with a value in the environment of its worker."""
        worker = replace(self.worker, environment=(("VALUE", value),))
        services = (worker, WEB) if worker.networks else (worker,)
        return Memory(Stack("p", self.directory, services, (Network("front"),)), self.world)

    def deploy(self, value: str, kill_at: int | None = None) -> None:
        """Bring it up; it is killed before one of its changes, counted from 0."""
        self.world.done.clear()
        self.world.kill_at = MOST_CHANGES if kill_at is None else kill_at
        if not self.world.replicas:
            self.world.kill_at = None
        deploy.up(self.engine(value), Recorded(), deploy.UpOptions(0.2))

    def assert_converged(self, value: str) -> None:
        """Check that three workers serve under their numbers, and that nothing is left to do."""
        workers = self.engine(value).replicas("worker")
        assert [(number, True, value) for number in (1, 2, 3)] == [
            (replica.number, replica.serves, replica.recipe["environment.VALUE"]) for replica in workers
        ]
        assert {"worker-1", "worker-2", "worker-3"} == {name for name in self.world.replicas if "worker" in name}
        assert () == deploy.plan_up(self.engine(value))
        assert [] == self.world.wrong


@pytest.mark.parametrize("worker", [WORKER, ALONE], ids=["", "without admission"])
def test_deploys_keep_the_numbers(tmp_path: Path, worker: Service) -> None:
    """Three times in a row."""
    site = Site(tmp_path, worker)
    for value in ("two", "three", "four"):
        site.deploy(value)
        site.assert_converged(value)


def killed(directory: Path, worker: Service) -> Iterator[Site]:
    """Yield a site for each change before which a deploy of `two` can be killed."""
    for change in range(MOST_CHANGES):
        site = Site(directory, worker)
        try:
            site.deploy("two", change)
        except KilledProcessError:
            yield site
        else:
            return


@pytest.mark.parametrize("worker", [WORKER, ALONE], ids=["", "without admission"])
@pytest.mark.parametrize("value", ["one", "two", "three"], ids=["reverted", "the same", "changed"])
def test_up_killed_at_any_change_is_finished_with_the_same_numbers(tmp_path: Path, worker: Service, value: str) -> None:
    """With the file as it is, as it was, or changed again; there are always three that serve, and never five."""
    count = 0
    for site in killed(tmp_path, worker):
        site.deploy(value)
        site.assert_converged(value)
        count += 1
    assert count >= 3 * len(["create", "start", "remove"])


def test_failed_deploy_keeps_the_numbers(tmp_path: Path) -> None:
    """A new replica that does not get ready is removed; the old one has kept its name."""
    site = Site(tmp_path)
    site.world.healths["new worker-1"] = Health(is_ready=False, output="no moon")
    with pytest.raises(EngineError, match="worker-1 is not ready"):
        site.deploy("two")

    site.assert_converged("one")


def worker(number: int, **changes: object) -> Replica:
    """Return a worker of the previous release that serves."""
    return replace(Replica("worker", number, f"old{number}", "running", {"image": "app:1"}), **changes)  # type: ignore[arg-type]


def new(number: int, **changes: object) -> Replica:
    """Return a worker of the new release that was created next to the old one of that number."""
    return worker(number, **({"id": f"new{number}", "recipe": RECIPE, "replaces": f"old{number}"} | changes))


@pytest.mark.parametrize(
    ("replicas", "wanted", "steps"),
    [
        # the numbers of earlier versions, which alternated, and of replicas that were re-created after a failure
        ([worker(2)], 1, ["Create worker-1", "Wait for worker-1", "Remove worker-2"]),
        (
            [worker(2), worker(3)],
            2,
            [
                *("Create worker-2", "Wait for worker-2", "Remove worker-2"),
                *("Create worker-1", "Wait for worker-1", "Remove worker-3"),
            ],
        ),
        # interrupted: the new one was created, was admitted, or has exited
        ([worker(1), new(1, is_admitted=False)], 1, ["Wait for worker-1", "Remove worker-1"]),
        ([worker(1), new(1)], 1, ["Remove worker-1"]),
        ([worker(1, recipe=RECIPE), new(1)], 1, ["Remove worker-1"]),
        (
            [worker(1), new(1, state="exited (1)")],
            1,
            ["Remove worker-1", "Create worker-1", "Wait for worker-1", "Remove worker-1"],
        ),
        # the second was interrupted: the first needs no other
        (
            [worker(1), worker(2), new(2, is_admitted=False)],
            2,
            ["Wait for worker-2", "Remove worker-2", "Create worker-1", "Wait for worker-1", "Remove worker-1"],
        ),
        # admitted, and then scaled up
        ([worker(1), new(1)], 2, ["Remove worker-1", "Create worker-2", "Wait for worker-2"]),
        # the old one has exited meanwhile
        ([worker(1, state="exited (1)"), new(1, is_admitted=False)], 1, ["Wait for worker-1", "Remove worker-1"]),
    ],
)
def test_number_of_a_new_replica_is_that_of_the_old_one(replicas: list[Replica], wanted: int, steps: list[str]) -> None:
    """Unless it is higher than needed."""
    service = replace(WORKER, replicas=wanted)

    assert steps == [step.what for step in roll(service, Snapshot(tuple(replicas)), RECIPE)]


def test_removed_replica_is_the_old_one() -> None:
    """Both have one name."""
    old = worker(1)
    (step,) = roll(replace(WORKER, replicas=1), Snapshot((old, new(1))), RECIPE)

    assert RemoveReplica(old, "replaced by the new one") == step
