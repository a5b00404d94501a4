"""`up` starts replicas that have exited, instead of replacing them, if nothing of their recipe changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from tests.release_commands import release_command
from twelfth.errors import EngineError
from twelfth.model.service import Mount, Service
from twelfth.model.snapshot import Health, Replica, Snapshot
from twelfth.model.stack import Network, Stack, Volume
from twelfth.stack import deploy
from twelfth.stack.rollout import roll

if TYPE_CHECKING:
    from pathlib import Path

WORKER = Service("worker", "app:1", replicas=2, networks=("back",), monitor=0, pre_start=release_command(("true",)))
DB = Service("db", "db:1", mounts=(Mount("volume", "/data", "data"),), networks=("back",), monitor=0)
RECIPE = {"image": "app:1"}


def exited(number: int = 1, **changes: object) -> Replica:
    """Return a replica that has exited."""
    return replace(Replica("worker", number, f"id{number}", "exited (1)", RECIPE), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["exited (0)", "exited (137)", "stopped", "failed"])
def test_replica_that_exited_is_started(state: str) -> None:
    """Next to one that is running, and with its data."""
    running, one = exited(2, state="running"), replace(DB, name="worker")
    replicas = exited(state=state), running

    assert [f"Start worker-1 ({state})"] == [str(step) for step in roll(WORKER, Snapshot(replicas), RECIPE)]
    assert [f"Start worker-1 ({state})"] == [str(step) for step in roll(one, Snapshot(replicas[:1]), RECIPE)]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"state": "created"}, "created"),  # it may lack a network
        ({"state": "restarting"}, "restarting"),
        ({"recipe": {"image": "app:2"}}, "image changed"),
        ({"is_admitted": False}, "it was never admitted"),
    ],
)
def test_replica_that_cannot_serve_as_it_is_is_replaced(changes: dict[str, object], cause: str) -> None:
    """It has another recipe, or was never ready."""
    steps = roll(replace(WORKER, replicas=1), Snapshot((exited(1, **changes),)), RECIPE)

    assert f"({cause})" in str(next(steps))


def test_only_as_many_as_wanted_are_started() -> None:
    """The others are removed."""
    replicas = tuple(exited(number) for number in (1, 2, 3))

    assert ["Start worker-1 (exited (1))", "Start worker-2 (exited (1))", "Remove worker-3 (exited (1))"] == [
        str(step) for step in roll(WORKER, Snapshot(replicas), RECIPE)
    ]


class Site:
    """A stack in memory that was up and is stopped."""

    def __init__(self, directory: Path, *services: Service) -> None:
        """Deploy the services, and stop all replicas."""
        volumes = Volume("data"), Volume("cache")
        self.world, self.stack = World(), Stack("p", directory, services, (Network("back"),), volumes)
        self.up()
        self.before = dict(self.world.replicas)
        for name in self.before:
            self.world.end_replica(name, "out of memory", 137)

    def engine(self) -> Memory:
        """Return a new engine."""
        return Memory(self.stack, self.world)

    def up(self) -> list[str]:
        """Bring it up, and return the steps."""
        report = Recorded()
        deploy.up(self.engine(), report, deploy.UpOptions(0.2))
        return report.steps

    def ids(self) -> dict[str, str]:
        """Return the ids of the running replicas, by name."""
        return {name: replica.id for name, replica in self.world.replicas.items() if replica.is_running}


@pytest.fixture
def stopped(tmp_path: Path) -> Site:
    """Return a stopped stack."""
    return Site(tmp_path, DB, replace(WORKER, depends_on=("db",)))


def test_stopped_stack_is_started_in_order(stopped: Site) -> None:
    """No release command runs: the release was deployed before."""
    starts = ["Start db-1 (exited (137))", "Start worker-1 (exited (137))", "Start worker-2 (exited (137))"]

    assert starts == stopped.up()
    assert {name: replica.id for name, replica in stopped.before.items()} == stopped.ids()
    assert () == deploy.plan_up(stopped.engine())


def test_new_release_replaces_exited_replicas_after_its_release_command(stopped: Site) -> None:
    """As if they were running."""
    worker = replace(stopped.stack.services[1], image="app:2")
    stopped.stack = replace(stopped.stack, services=(DB, worker))
    steps = stopped.up()

    assert ["Start db-1 (exited (137))", "Run true (before the first worker of its release)"] == steps[1:3]
    assert not [step for step in steps if step.startswith("Start worker")]


def test_replica_that_does_not_get_ready_is_removed_and_the_next_up_creates_another(stopped: Site) -> None:
    """So a container that can no longer be started does not block `up`."""
    stopped.world.healths["worker-2"] = Health(is_ready=False, output="loading")
    with pytest.raises(EngineError, match=r"^worker-2 is not ready after 0.2 s \(loading\)"):
        stopped.up()
    assert ["db-1", "worker-1"] == [*stopped.ids()]

    del stopped.world.healths["worker-2"]
    assert "Create worker-2 (missing)" in stopped.up()


def test_replica_whose_network_was_removed_is_replaced(stopped: Site) -> None:
    """A container has the network's id, so it cannot be started on another network of that name."""
    stopped.world.resources = [resource for resource in stopped.world.resources if resource.kind != "network"]

    assert "Replace db-1 (network.p_back changed)" in stopped.up()
    assert () == deploy.plan_up(stopped.engine())


def test_replica_that_cannot_be_started_is_removed(stopped: Site) -> None:
    """Its named volumes stay."""
    stopped.world.failures["start db-1"] = EngineError("network not found")
    with pytest.raises(EngineError, match="network not found"):
        stopped.up()
    assert "db-1" not in stopped.world.replicas

    stopped.world.failures.clear()
    assert "Create db-1 (missing)" in stopped.up()


@pytest.mark.parametrize("failure", ["", "start db-1"])
def test_replica_with_anonymous_volumes_stays_if_it_does_not_get_ready(stopped: Site, failure: str) -> None:
    """Its data would be removed with it."""
    stopped.world.replicas["db-1"] = replace(stopped.world.replicas["db-1"], has_own_volumes=True)
    stopped.world.healths["db-1"] = Health(is_ready=False, output="loading")
    stopped.world.failures = {failure: EngineError("disk full")}
    with pytest.raises(EngineError):
        stopped.up()

    assert stopped.before["db-1"].id == stopped.world.replicas["db-1"].id


@pytest.mark.parametrize("runs", [True, False])
def test_running_follower_of_a_started_replica_is_replaced(tmp_path: Path, *, runs: bool) -> None:
    """It may share a namespace that ended with the old process; one that is not running can be started."""
    site = Site(tmp_path, DB, replace(WORKER, replicas=1, follows=("db",), depends_on=("db",)))
    if runs:
        site.world.replicas["worker-1"] = site.before["worker-1"]
    steps = [step for step in site.up() if "worker" in step]

    assert (steps[0] == "Create worker-1 (service.db changed)") == runs
    assert (steps == ["Start worker-1 (exited (137))"]) != runs
