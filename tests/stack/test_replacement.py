"""`up` killed at every change of a replacement in place, with and without a restart of the engine, in memory.

Whatever the last change was, the old replica and the new one never run at the same time, and the next `up` finishes.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import KilledProcessError, Memory, World
from twelfth.errors import EngineError
from twelfth.model.service import Mount, Service
from twelfth.model.snapshot import Health, Replica, Snapshot
from twelfth.model.stack import Stack, Volume
from twelfth.stack import deploy, lifecycle
from twelfth.stack.rollout import roll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLICIES = ["always", "unless-stopped", "on-failure", "no"]
MOST_CHANGES = 20
DB = Service("db", "db:1", mounts=(Mount("volume", "/data", "data"),))
NEXT = ("wanted", "reverted", "changed")
"""What the Compose file says at the next `up`: the same, what it said before, something else."""


@dataclass
class Watched(World):
    """A world that notes each moment at which two replicas of the service run."""

    both: list[str] = field(default_factory=list)

    def begin(self, change: str) -> None:
        """Look before each change."""
        self.look(change)
        super().begin(change)

    def look(self, moment: str) -> None:
        """Note if both run."""
        if sum(each.is_running for each in self.replicas.values()) > 1:
            self.both.append(moment)


class Site:
    """A stack of one service that keeps data, deployed with one environment after the other."""

    def __init__(self, directory: Path, policy: str) -> None:
        """Deploy it for the first time."""
        self.world, self.directory, self.policy = Watched(), directory, policy
        self.deploy("one")

    def engine(self, value: str) -> Memory:
        """Return an engine for the service with a value in its environment."""
        db = replace(DB, restart=self.policy, environment=(("VALUE", value),))
        return Memory(Stack("p", self.directory, (db,), volumes=(Volume("data"),)), self.world)

    def deploy(self, value: str) -> list[str]:
        """Bring it up and return the steps."""
        report = Recorded()
        deploy.up(self.engine(value), report, deploy.UpOptions(0.2))
        return report.steps

    def killed_at(self, change: int, value: str) -> bool:
        """Return whether a deploy was killed before one of its changes, counted from 0."""
        self.world.done.clear()
        self.world.kill_at = change
        try:
            self.deploy(value)
        except KilledProcessError:
            return True
        finally:
            self.world.kill_at = None
            self.world.look("killed")
        return False

    def assert_converged(self, value: str) -> None:
        """Check that one replica runs, as declared, with its own restart policy, and that nothing is left to do."""
        (only,) = self.world.replicas.values()
        assert (True, value) == (only.is_running, only.recipe["environment.VALUE"])
        assert self.policy == self.world.restarts[only.id]
        assert () == deploy.plan_up(self.engine(value))
        assert [] == self.world.both


def killed(directory: Path, policy: str, dying: str = "") -> Iterator[Site]:
    """Yield a site for each change before which a deploy of `two` can be killed; with last words, its replica dies."""
    for change in range(MOST_CHANGES):
        site = Site(directory, policy)
        site.world.dying = {"db": dying} if dying else {}
        with contextlib.suppress(EngineError):
            if site.killed_at(change, "two"):
                site.world.dying = {}
                yield site
                continue
        return


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize("then", NEXT)
def test_up_killed_at_any_change_is_finished_by_the_next(
    tmp_path: Path, policy: str, *, restarts: bool, then: str
) -> None:
    """With the file as it is, as it was, or changed again; also after the engine restarted."""
    value = {"wanted": "two", "reverted": "one", "changed": "three"}[then]
    count = 0
    for site in killed(tmp_path, policy):
        if restarts:
            site.world.restart()
            site.world.look("restarted")
        site.deploy(value)
        site.assert_converged(value)
        count += 1
    assert count >= len(["create", "stop", "start", "remove"])


@pytest.mark.parametrize("restarts", [False, True], ids=["", "restarted"])
def test_up_killed_while_it_puts_the_old_one_back_is_finished_by_the_next(tmp_path: Path, *, restarts: bool) -> None:
    """The new one exits at its start; the policy of the old one is restored before it is started."""
    count = 0
    for site in killed(tmp_path, "always", "bad option"):
        if restarts:
            site.world.restart()
            site.world.look("restarted")
        site.deploy("three")
        site.assert_converged("three")
        count += 1
    assert count >= len(["create", "stop", "policy", "start", "policy", "remove", "start"])


@pytest.mark.parametrize("policy", POLICIES)
def test_old_one_that_is_put_back_has_its_restart_policy_again(tmp_path: Path, policy: str) -> None:
    """And is not different from what is declared because of it."""
    site = Site(tmp_path, policy)
    site.world.dying["db"] = "bad option"
    with pytest.raises(EngineError, match=r"db-1 is restored"):
        site.deploy("two")

    site.world.dying.clear()
    site.assert_converged("one")


@pytest.mark.parametrize("names", [("db-1", "new db-1"), ("new db-1", "db-1")])
def test_new_one_gives_its_place_back_before_the_old_one_is_removed(tmp_path: Path, names: tuple[str, str]) -> None:
    """Both go, such as with `down`: not at the same time, as the new one's removal changes the old one."""
    site = Site(tmp_path, "always")
    assert site.killed_at(4, "two")
    site.world.replicas = {name: site.world.replicas[name] for name in names}
    site.world.done.clear()
    lifecycle.down(site.engine("two"), Recorded())

    removals = [change for change in site.world.done if change.startswith("remove ")]
    assert ["remove new db-1", "remove db-1"] == removals


def test_second_up_killed_as_the_first_was_repairs_all_the_same(tmp_path: Path) -> None:
    """Each pair of moments."""
    for first in range(MOST_CHANGES):
        for second in range(MOST_CHANGES):
            site = Site(tmp_path, "always")
            if not site.killed_at(first, "two"):
                return
            is_killed = site.killed_at(second, "three")
            site.world.restart()
            site.world.look("restarted")
            site.deploy("four")
            site.assert_converged("four")
            if not is_killed:
                break


def test_continued_replacement_that_does_not_get_ready_puts_the_old_one_back(tmp_path: Path) -> None:
    """`up` was killed while it waited for the new one: the next one does not trust it blindly."""
    site = Site(tmp_path, "always")
    old = site.world.replicas["db-1"]
    assert site.killed_at(4, "two")
    assert site.world.replicas["new db-1"].is_running
    site.world.healths["new db-1"] = Health(is_ready=False, output="loading")

    with pytest.raises(EngineError, match=r"^db-1 is not ready after 0.2 s \(loading\); db-1 is restored"):
        site.deploy("two")
    assert {"db-1": old} == site.world.replicas
    assert "always" == site.world.restarts[old.id]


RECIPE = {"image": "db:1"}


def replica(identity: str, state: str = "running", replaces: str = "", **recipe: str) -> Replica:
    """Return a replica with number 1."""
    return Replica("db", 1, identity, state, RECIPE | recipe, replaces=replaces)


OLD, INTERRUPTED = replica("old", x=""), "Replace db-1 (its replacement was interrupted)"
UNDONE = "Remove db-1 (its deploy was interrupted)"


@pytest.mark.parametrize(
    ("replicas", "steps"),
    [
        ([OLD, replica("new", "created", "old")], [INTERRUPTED]),
        ([replace(OLD, state="exited (0)"), replica("new", "running", "old")], [INTERRUPTED]),
        (
            [replace(OLD, state="exited (0)"), replica("new", "exited (1)", "old")],
            [UNDONE, "Replace db-1 (x changed)"],
        ),
        ([replica("old"), replica("new", "created", "old", x="")], [UNDONE]),
        ([replica("old", y=""), replica("new", "running", "old", x="")], [UNDONE, "Replace db-1 (y changed)"]),
        ([replica("new", "running", "old")], []),  # the one that it replaced is gone: it was ready
        ([OLD, replica("new")], ["Remove db-1 (x changed)"]),  # made by a version that recorded nothing
    ],
)
def test_interrupted_replacement_is_continued_if_it_is_wanted_and_undone_if_not(
    replicas: list[Replica], steps: list[str]
) -> None:
    """The old replica is what is replaced or kept: the new one was never ready, as far as is known."""
    assert steps == [str(step) for step in roll(DB, Snapshot(tuple(replicas)), RECIPE)]


def test_each_replica_with_its_own_data_continues_its_own_replacement() -> None:
    """Two of three replicas with anonymous volumes; the new one of the first pair takes its place, not another's."""
    three = replace(DB, mounts=(), replicas=3)
    own = {"has_own_volumes": True}
    replicas = [
        replace(replica("one", x=""), **own),  # type: ignore[arg-type]
        replace(replica("two", "exited (0)", x=""), number=2, **own),  # type: ignore[arg-type]
        replace(replica("three"), number=3, **own),  # type: ignore[arg-type]
        replace(replica("new two", "created", "two"), number=2, **own),  # type: ignore[arg-type]
    ]

    assert ["Replace db-2 (its replacement was interrupted)", "Replace db-1 (x changed)"] == [
        str(step) for step in roll(three, Snapshot(tuple(replicas)), RECIPE)
    ]
    removed = ["Remove db-2 (its deploy was interrupted)", "Remove db-2 (x changed)", "Remove db-1 (x changed)"]
    assert removed == [str(step) for step in roll(replace(three, replicas=1), Snapshot(tuple(replicas)), RECIPE)]
