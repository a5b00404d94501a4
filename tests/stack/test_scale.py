"""Replicas that are only added, or only removed, at the same time; deploys in their order; in memory."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import EngineError
from twelfth.model.service import Build, Mount, Service
from twelfth.model.snapshot import Health, Replica
from twelfth.model.stack import Network, Stack
from twelfth.stack import at_once, deploy, lifecycle
from twelfth.stack.rollout import create, groups
from twelfth.stack.steps import AdmitReplica, CreateReplica, RemoveReplica

if TYPE_CHECKING:
    from collections.abc import Callable

APP = Service("app", "app:one", build=Build(Path()), networks=("net",), stop_grace=1)
DOOR = Service("door", "door:1", networks=("net",), depends_on=("app",))
SLOW_SECONDS = 0.3
REPLICAS = 9
TURNS = 2


@dataclass
class Timed(World):
    """A world that notes when each change began."""

    times: dict[str, float] = field(default_factory=dict)

    def begin(self, change: str) -> None:
        """Note it."""
        super().begin(change)
        self.times[change] = time.monotonic()


class Slow(Memory):
    """An engine that takes a while to create, to remove and to ask a replica."""

    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Take a while."""
        time.sleep(SLOW_SECONDS)
        return super().clone_replica(replica, number)

    def create_replica(self, service: Service, number: int) -> Replica:
        """Take a while."""
        time.sleep(SLOW_SECONDS)
        return super().create_replica(service, number)

    def remove_replica(self, replica: Replica) -> None:
        """Take a while."""
        time.sleep(SLOW_SECONDS)
        super().remove_replica(replica)


@dataclass
class Site:
    """A stack of an app and what is in front of it, which is up with one replica."""

    directory: Path
    app: Service = APP
    world: Timed = field(default_factory=Timed)
    report: Recorded = field(default_factory=Recorded)
    kind: type[Memory] = Memory

    def engine(self, replicas: int) -> Memory:
        """Return a new engine for this number of replicas."""
        app = replace(self.app, replicas=replicas)
        return self.kind(Stack("p", self.directory, (app, DOOR), (Network("net"),)), self.world)

    def up(self, replicas: int, within: float = 5.0) -> list[str]:
        """Bring it up; return what that changed."""
        self.world.done.clear()
        deploy.up(self.engine(replicas), self.report, deploy.UpOptions(within, scaled=("app",)))
        return list(self.world.done)

    def scale(self, replicas: int, within: float = 5.0) -> list[str]:
        """Scale it; return what that changed."""
        self.world.done.clear()
        engine = self.engine(replicas)
        lifecycle.scale(engine, engine.stack.services[0], self.report, within)
        return list(self.world.done)

    def serving(self) -> list[str]:
        """Return the names of the app's replicas that serve."""
        return [each.name for each in self.engine(1).replicas("app") if each.serves]

    def all(self) -> list[str]:
        """Return the names of all of the app's replicas."""
        return [each.name for each in self.engine(1).replicas("app")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return the site, up with one replica."""
    made = Site(tmp_path)
    made.up(1)
    return made


@pytest.mark.parametrize("way", [Site.scale, Site.up], ids=["scale", "up"])
def test_replicas_are_added_and_removed_at_the_same_time(site: Site, way: Callable[[Site, int], list[str]]) -> None:
    """Eight of them take about as long as one, up and down."""
    site.kind = Slow
    for replicas in (REPLICAS, 1):
        began = time.monotonic()
        way(site, replicas)
        assert time.monotonic() - began < SLOW_SECONDS * (REPLICAS - 1) / 2
        assert replicas == len(site.serving())


def test_first_replicas_and_a_whole_stack_too(tmp_path: Path) -> None:
    """The first `up` of a scaled service, and `down`."""
    site = Site(tmp_path, kind=Slow)
    began = time.monotonic()
    site.up(REPLICAS)
    lifecycle.down(site.engine(REPLICAS), site.report)

    assert time.monotonic() - began < SLOW_SECONDS * (2 * REPLICAS + 2) / 2
    assert {} == site.world.replicas


def test_deploy_of_several_replicas_keeps_its_order_and_then_adds_at_once(site: Site) -> None:
    """One after the other is created, admitted, and only then an old one removed; what is only added comes last."""
    site.scale(2)
    site.app = replace(APP, image="app:two")
    done = site.up(4)

    assert [
        *("create new app-1", "start new app-1", "admit new app-1", "remove app-1"),
        *("create new app-2", "start new app-2", "admit new app-2", "remove app-2"),
    ] == done[1:9]
    assert [{"create app-3", "create app-4"}, {"admit app-3", "admit app-4"}] == [{*done[9:11]}, {*done[11:]}]


def test_only_what_is_added_or_removed_without_the_other_is_done_at_once() -> None:
    """In the plan's order; another service, or a removal in between, starts a new group."""
    gone = [Replica("app", number, f"app-{number}", "running", {}) for number in (1, 2)]
    removals = [RemoveReplica(each, "") for each in gone]
    other = CreateReplica(DOOR, 1, "")
    steps = [CreateReplica(APP, 3, ""), AdmitReplica(APP, 3), removals[0], CreateReplica(APP, 4, ""), removals[1]]

    assert [1, 1, 1, 1, 1] == [len(group) for group in groups(steps)]
    assert [4, 1, 2] == [len(group) for group in groups([*create(APP, "", [3, 4]), other, *removals])]
    assert [3] == [len(group) for group in groups(create(APP, "", [4], left=[3]))]
    assert [*steps, other] == [step for group in groups([*steps, other]) for step in group]


def test_replica_that_does_not_get_ready_takes_all_with_it_that_are_not(site: Site) -> None:
    """When it exits, not when they do; ready replicas stay, and each removal is reported."""
    site.world.healths = {f"app-{number}": Health(is_ready=False, output="loading") for number in (3, 4, 5)}

    class Crashing(Memory):
        def check_health(self, replica: Replica, *arguments: object, **named: object) -> Health:
            if replica.name == "app-4" and self.serves("app-6"):
                self.world.end_replica("app-4", "out of memory")
            return super().check_health(replica, *arguments, **named)  # type: ignore[arg-type]

        def serves(self, name: str) -> bool:
            return name in self.world.replicas and self.world.replicas[name].serves

    site.kind = Crashing
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"^app-4 exited \(1\): out of memory; app-1, app-2, app-6 are still"):
        site.scale(6, within=60)

    assert time.monotonic() - began < 60 / 2
    assert ["app-1", "app-2", "app-6"] == site.serving() == site.all()
    removed = [line for line in site.report.details if line.startswith("Remove ")]
    assert {"Remove app-3 (not ready)", "Remove app-5 (not ready)"} == {*removed}


@pytest.mark.parametrize("hanging", [[], ["app-2", "app-3"]], ids=["", "some hang"])
def test_few_healthchecks_run_at_once(site: Site, monkeypatch: pytest.MonkeyPatch, hanging: list[str]) -> None:
    """They take time from the replicas that start; checks that hang do not keep other replicas waiting."""
    monkeypatch.setattr(at_once, "TURNS", TURNS)
    monkeypatch.setattr(at_once, "LONGEST_WAIT", 0.1 if hanging else 10.0)
    changed, running, most = threading.Condition(), set[str](), list[int]()

    class Counting(Memory):
        def check_health(self, replica: Replica, *arguments: object, **named: object) -> Health:
            with changed:
                running.add(replica.name)
                most.append(len(running))
                if replica.name in hanging:
                    assert changed.wait_for(lambda: len(site.serving()) >= REPLICAS - len(hanging), 10)
            time.sleep(0.02)
            with changed:
                running.remove(replica.name)
            return super().check_health(replica, *arguments, **named)  # type: ignore[arg-type]

        def admit_replica(self, replica: Replica) -> None:
            super().admit_replica(replica)
            with changed:
                changed.notify_all()

    site.kind = Counting
    site.scale(REPLICAS)
    assert REPLICAS == len(site.serving())
    assert hanging or TURNS == max(most)


def test_replica_that_cannot_be_created_takes_the_other_new_ones_with_it(site: Site) -> None:
    """None of them was ready; each is reported."""
    site.world.failures["clone app-1 as app-3"] = EngineError("no space left")
    with pytest.raises(EngineError, match="no space left"):
        site.scale(4)

    assert ["app-1"] == site.all()
    created = {line.rpartition(" ")[2] for line in site.world.done if line.startswith("clone")}
    removed = {line for line in site.report.details if line.startswith("Remove ")}
    assert {f"Remove {name} (not ready)" for name in created} == removed


@pytest.mark.parametrize("way", [Site.scale, Site.up], ids=["scale", "up"])
def test_interrupted_scaling_is_continued_by_the_next(site: Site, way: Callable[[Site, int], list[str]]) -> None:
    """Ctrl-C while two are not ready: they stay as they are, and are admitted and not created then."""
    site.world.healths = {f"app-{number}": Health(is_ready=False) for number in (2, 3)}

    class Interrupted(Memory):
        def check_health(self, replica: Replica, *arguments: object, **named: object) -> Health:
            if replica.name == "app-3":
                raise KeyboardInterrupt
            return super().check_health(replica, *arguments, **named)  # type: ignore[arg-type]

    site.kind = Interrupted
    with pytest.raises(KeyboardInterrupt):
        site.scale(3)
    assert (["app-1"], ["app-1", "app-2", "app-3"]) == (site.serving(), site.all())

    site.kind, site.world.healths = Memory, {}
    assert {"admit app-2", "admit app-3"} == {*way(site, 3)}
    assert ["app-1", "app-2", "app-3"] == site.serving()


def test_old_replica_serves_until_clients_find_the_new_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause after each admission that a removal follows; what is only added waits for nothing."""
    monkeypatch.setattr(Memory, "admission_seconds", 0.4)
    site.scale(2)
    site.app = replace(APP, image="app:two")
    site.up(2)

    times = site.world.times
    assert times["remove app-1"] - times["admit new app-1"] >= Memory.admission_seconds
    assert times["remove app-2"] - times["admit new app-2"] >= Memory.admission_seconds
    began = time.monotonic()
    site.scale(4)
    assert time.monotonic() - began < Memory.admission_seconds


def test_replica_that_is_replaced_in_place_is_stopped_when_clients_find_the_one_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that write to a directory of the machine, each in its own place: one of them always serves."""
    monkeypatch.setattr(Memory, "admission_seconds", 0.4)
    site.app = replace(APP, mounts=(Mount("bind", "/logs", "/var/log"),))
    site.up(2)
    site.app = replace(site.app, image="app:two")
    site.up(2)

    times = site.world.times
    admitted = min(time for change, time in times.items() if change in {"admit new app-1", "admit new app-2"})
    stopped = max(time for change, time in times.items() if change.startswith("stop "))
    assert stopped - admitted >= Memory.admission_seconds


def test_no_thread_is_left(site: Site) -> None:
    """Also after a failure."""
    before = threading.active_count()
    site.world.dying["app"] = "no"
    with pytest.raises(EngineError):
        site.up(4)

    assert before == threading.active_count()
