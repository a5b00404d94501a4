"""A release that crashes soon after it was ready does not replace all: new replicas are watched before old ones go."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import EngineError
from twelfth.model.service import Build, Mount, Service
from twelfth.model.snapshot import Health, Replica, Snapshot
from twelfth.model.stack import Network, Stack
from twelfth.stack import deploy, lifecycle, readiness
from twelfth.stack.deploy_record import note_deploy
from twelfth.stack.readiness import what_to_do
from twelfth.stack.rollout import roll
from twelfth.stack.status import status
from twelfth.stack.watch import watched

WORKER = Service("worker", "app:one", build=Build(Path()), networks=("front",), monitor=0.3)
WEB = Service("web", "web:1", networks=("front",), depends_on=("worker",))
DATABASE = replace(WORKER, name="database", mounts=(Mount("volume", "/data", "data"),))
NEW = {"image": "two"}


def replica(number: int, image: str, **changes: object) -> Replica:
    """Return a worker that serves."""
    return replace(Replica("worker", number, f"id{number}", "running", {"image": image}), **changes)  # type: ignore[arg-type]


def steps(*replicas: Replica, wanted: int, service: Service = WORKER) -> list[str]:
    """Return the steps that give a worker this number of replicas of the new release, each in a few words."""
    found, service = Snapshot(replicas), replace(service, replicas=wanted)
    return [step.what for step in watched(service, found, NEW, roll(service, found, NEW))]


def test_only_replica_is_watched_before_the_old_one_is_removed() -> None:
    """Once; there is no other."""
    expected = ["Create worker-1", "Wait for worker-1", "Watch worker-1 for 0.3 s", "Remove worker-1"]

    assert expected == steps(replica(1, "one"), wanted=1)


def test_first_and_last_removal_are_watched() -> None:
    """The first removal needs a release that works; after the last one there is nothing to go back to."""
    assert [
        *("Create worker-1", "Wait for worker-1", "Watch worker-1 for 0.3 s", "Remove worker-1"),
        *("Create worker-2", "Wait for worker-2", "Remove worker-2"),
        *("Create worker-3", "Wait for worker-3", "Watch worker-1, worker-2, worker-3 for 0.3 s", "Remove worker-3"),
    ] == steps(*(replica(number, "one") for number in (1, 2, 3)), wanted=3)


@pytest.mark.parametrize(
    ("replicas", "wanted", "expected"),
    [
        ([replica(1, "one"), replica(2, "two")], 1, ["Watch worker-2 for 0.3 s", "Remove worker-1"]),
        ([replica(1, "two"), replica(2, "two")], 1, ["Remove worker-2"]),
        ([replica(1, "two"), replica(1, "one", id="later", replaces="id1")], 1, ["Remove worker-1"]),
        ([replica(1, "one", state="exited (1)")], 1, ["Create worker-1", "Wait for worker-1", "Remove worker-1"]),
        ([], 1, ["Create worker-1", "Wait for worker-1"]),
    ],
    ids=["what an interrupted up left", "scaled down", "a later deploy was killed", "nothing serves", "nothing exists"],
)
def test_replicas_are_watched_where_one_that_serves_is_replaced(
    replicas: list[Replica], wanted: int, expected: list[str]
) -> None:
    """And nowhere else: then there is nothing to go back to."""
    assert expected == steps(*replicas, wanted=wanted)


def test_nothing_is_watched_where_nothing_is_new() -> None:
    """The service can have only one from now on: the others go before it, and the watch comes after that."""
    replicas = [replica(number, "one") for number in (1, 2, 3)]

    assert ["Remove worker-1", "Remove worker-2", "Replace worker-3 with worker-1"] == steps(
        *replicas, wanted=1, service=replace(WORKER, mounts=DATABASE.mounts)
    )


def test_first_removal_of_an_old_replica_is_watched_after_an_interrupted_deploy() -> None:
    """The new replica of that deploy, of another release, is removed before there is one to watch."""
    interrupted = replica(1, "three", id="new", replaces="id1")
    created = ["Create worker-1", "Wait for worker-1", "Watch worker-1 for 0.3 s", "Remove worker-1"]

    assert ["Remove worker-1", *created] == steps(replica(1, "one"), interrupted, replica(2, "one"), wanted=2)[:5]


class Crashing(Memory):
    """An engine whose replicas of release `two` exit once something was done, and are restarted."""

    after = ""

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the replicas, of which some have crashed."""
        crashed = int(self.after in self.world.done)
        return tuple(replace(each, restarts=crashed * (each.release == "two")) for each in super().replicas(service))


def deployed(directory: Path, service: Service, replicas: int = 1) -> Memory:
    """Return an engine on which release `one` of a service serves, and release `two` is declared."""
    service = replace(service, replicas=replicas)
    engine = Memory(Stack("p", directory, (service, WEB), (Network("front"),)), World())
    deploy.up(engine, Recorded())
    engine.world.done.clear()
    return Memory(engine.stack.with_service(replace(service, image="app:two")), engine.world)


def releases(engine: Memory) -> list[str]:
    """Return the releases of the replicas that serve."""
    return [each.release for each in engine.observe().replicas if each.serves and each.service != "web"]


@pytest.mark.parametrize("after", ["admit new worker-1", "create new worker-3"])
def test_release_that_crashes_while_it_is_watched_is_taken_back(tmp_path: Path, after: str) -> None:
    """Whether none or all but one of the old replicas were removed; as many serve as before, of the old release."""
    before = deployed(tmp_path, WORKER, 3)
    engine = Crashing(before.stack, before.world)
    engine.after = after
    report = Recorded()
    with pytest.raises(EngineError) as failed:
        deploy.up(engine, report)

    assert str(failed.value).startswith("worker-1 crashed and was restarted (once); the new replicas were removed, ")
    assert str(failed.value).endswith("release one is still running. Fix that, then repeat the command")
    assert ["one", "one", "one"] == releases(engine)
    assert "the previous replicas are restored; please wait" in report.details
    deploy.up(before, Recorded())
    assert ["worker-1", "worker-2", "worker-3"] == [replica.name for replica in engine.replicas("worker")]


def test_error_does_not_promise_a_replica_that_could_not_be_restored(tmp_path: Path) -> None:
    """The old replica that would be cloned crashes as well."""

    class AllCrash(Memory):
        def check_health(self, replica: Replica, within: float | None = None) -> Health:
            if "admit new worker-1" in self.world.done:
                for name in {"worker-1", "new worker-1"} & self.world.replicas.keys():
                    self.world.end_replica(name, "out of memory")
            return super().check_health(replica, within)

    before = deployed(tmp_path, WORKER)
    with pytest.raises(EngineError) as failed:
        deploy.up(AllCrash(before.stack, before.world), Recorded())

    assert "; the new replicas were removed, no worker is running. " in str(failed.value)


class Failing(Memory):
    """An engine on which a new worker's check fails so often, once the worker was admitted."""

    failures = 0

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Fail, or do what the world says."""
        if replica.release == "two" and replica.is_admitted and self.failures:
            self.failures -= 1
            return Health(is_ready=False, output="no luck")
        return super().check_health(replica, within)


@pytest.mark.parametrize(
    ("failures", "expected"), [(2, ("two", "")), (3, ("one", "worker-1 became unhealthy (no luck)"))]
)
def test_replica_that_becomes_unhealthy_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, expected: tuple[str, str]
) -> None:
    """If its check fails three times in a row, and not before."""
    monkeypatch.setattr(readiness, "WATCH_EVERY", 0.02)
    before = deployed(tmp_path, WORKER)
    engine, error = Failing(before.stack, before.world), ""
    engine.failures = failures
    try:
        deploy.up(engine, Recorded())
    except EngineError as failed:
        error = str(failed)

    assert expected == (*releases(engine), error.partition(";")[0])


def test_replica_that_crashes_in_the_place_of_another_is_taken_back(tmp_path: Path) -> None:
    """The old one was stopped, and is started again."""
    before = deployed(tmp_path, DATABASE)
    engine = Crashing(before.stack, before.world)
    engine.after = "start new database-1"
    before.world.healths["new database-1"] = Health(is_ready=True)

    with pytest.raises(EngineError, match=r"^database-1 crashed and was restarted \(once\)"):
        deploy.up(engine, Recorded())
    assert ["one"] == releases(engine)


def test_watching_takes_the_monitor_seconds(tmp_path: Path) -> None:
    """Only for replicas with a healthcheck: others have run as long when they are ready."""
    engine, began = deployed(tmp_path, WORKER), time.monotonic()
    deploy.up(engine, Recorded())
    without = time.monotonic() - began
    engine.world.healths |= {name: Health(is_ready=True) for name in ("worker-1", "new worker-1")}
    began = time.monotonic()
    deploy.up(Memory(engine.stack.with_service(replace(WORKER, image="app:three")), engine.world), Recorded())

    assert without < WORKER.monitor <= time.monotonic() - began


def test_crash_loop_is_reported_with_what_to_do(tmp_path: Path) -> None:
    """By `status`: how often it was restarted, where its words are, and what to go back to if there is anything."""
    engine = deployed(tmp_path, WORKER)
    looping = replace(engine.world.replicas["worker-1"], restarts=4, state="restarting")
    engine.world.replicas["worker-1"] = looping
    found = status(engine)
    report = "worker-1 keeps crashing (restarted 4 times). Try: invoke logs worker"
    assert (False, report, "crashing") == (found.ready, found.why, found.services[0].health)

    lifecycle.build(engine, Recorded())
    for release in ("one", "two"):
        note_deploy(engine.state, release, "ann")
    engine.world.replicas["worker-1"] = replace(looping, release="two")
    assert f"{report}, or go back to release one: invoke rollback" == status(engine).why


def test_rollback_is_suggested_only_for_a_replica_whose_image_it_changes() -> None:
    """Redis and the proxy have no release; a replica of the previous release has that image already."""
    replicas = [Replica("redis", 1, "r", "running", {}, release=release) for release in ("", "one", "two")]
    hints = [what_to_do(replica, "one") for replica in replicas]

    log = "Try: invoke logs redis"
    assert [log, log, f"{log}, or go back to release one: invoke rollback"] == hints
