"""When a replica is ready, its time limit, and that `up` and `status` agree, on the engine in memory."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.engines import healthcheck
from twelfth.errors import EngineError
from twelfth.model.service import Healthcheck, Service
from twelfth.model.snapshot import Health, Replica
from twelfth.model.stack import Stack
from twelfth.stack import deploy, readiness
from twelfth.stack.readiness import ready_within
from twelfth.stack.status import status

SLOW = Service("slow", "app:1", healthcheck=Healthcheck(("CMD", "true"), start_period=90.0))
PLAIN = Service("plain", "app:1", monitor=0.2)


def stack(directory: Path, service: Service) -> Memory:
    """Return an engine with a stack of one service, without any replica."""
    return Memory(Stack("p", directory, (service,)), World())


@pytest.mark.parametrize(
    ("service", "asked", "expected"),
    [("slow", None, 150.0), ("slow", 5.0, 5.0), ("plain", None, 60.0), ("unknown", None, 60.0)],
)
def test_start_period_extends_the_default(service: str, asked: float | None, expected: float) -> None:
    """An explicit value is used unchanged."""
    assert expected == ready_within(Stack("p", Path(), (SLOW, PLAIN)), service, asked)


def test_replica_has_its_start_period(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is removed after that, if it is not ready."""
    monkeypatch.setattr(readiness, "READY_WITHIN", 0.1)
    engine = stack(tmp_path, Service("slow", "app:1", healthcheck=Healthcheck(("CMD", "true"), start_period=0.2)))
    engine.world.healths["slow-1"] = Health(is_ready=False, output="loading")

    with pytest.raises(EngineError, match=r"slow-1 is not ready after 0.3 s \(loading\)"):
        deploy.up(engine, Recorded())


def test_replica_without_a_check_is_waited_for_once_all_run(tmp_path: Path) -> None:
    """The first replica of a service replaces no other, so no one has to wait for it."""
    engine = stack(tmp_path, PLAIN)
    engine.world.running_seconds["plain-1"] = 0.1
    with pytest.raises(
        EngineError, match=r"plain-1 is not ready after 0.3 s \(it has run for 0.1 of 0.2 s\). Try: invoke logs plain"
    ):
        deploy.up(engine, Recorded(), deploy.UpOptions(0.1))

    assert (False, "plain-1: it has run for 0.1 of 0.2 s") == (status(engine).ready, status(engine).why)
    engine.world.running_seconds["plain-1"] = 0.2
    deploy.up(engine, Recorded(), deploy.UpOptions(0.1))
    assert status(engine).ready


class CutOff(Memory):
    """An engine whose healthcheck says why it fails after 0.1 s, unless it has less than that."""

    def check_health(self, replica: Replica, within: float | None = None) -> Health:  # noqa: ARG002 - all alike
        """Take that long; with less time, only report that it did not finish."""
        time.sleep(min(CHECK_SECONDS, within or CHECK_SECONDS))
        if within is not None and within < CHECK_SECONDS:
            return healthcheck.timed_out(within, CHECK_SECONDS, "check")
        return Health(is_ready=False, output="no database")


CHECK_SECONDS = 0.1


def test_why_a_replica_is_not_ready_is_not_lost_when_its_time_is_over(tmp_path: Path) -> None:
    """The last check is cut off by the end of that time, and knows less than the one before."""
    assert healthcheck.timed_out(0.1, 1.0, "check").is_cut_off
    assert not healthcheck.timed_out(1.0, 1.0, "check").is_cut_off  # it hangs: that is the reason
    engine = CutOff(Stack("p", tmp_path, (SLOW,)), World())
    with pytest.raises(EngineError, match=r"slow-1 is not ready after 0.25 s \(no database\)"):
        deploy.up(engine, Recorded(), deploy.UpOptions(0.25))

    deploy.up(Memory(engine.stack, engine.world), Recorded())
    with pytest.raises(EngineError, match=r"slow-1 is not ready after 0.25 s \(no database\)"):
        deploy.up(engine, Recorded(), deploy.UpOptions(0.25))


DATABASE = Service("database", "db:1", monitor=0.2)
APP = Service("app", "app:1", monitor=0.2, depends_on=("database",), restart="always")


class Swarmlike(Memory):
    """An engine that has another replica in the place of one that exited, which is ready."""

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Replace the first one at the second call, and return its earlier state."""
        if replica.id == "plain-1-1":
            self.world.replicas["plain-1"] = replace(self.world.replicas["plain-1"], id="plain-1-2")
            return Health(is_ready=False, output="it has run for 0.0 of 0.2 s", has_check=False)
        return super().check_health(replica, within)

    def admit_replica(self, replica: Replica) -> None:
        """Do nothing: a Swarm has no such step, and the replica may be replaced."""


def test_replica_in_the_place_of_one_that_exited_is_waited_for(tmp_path: Path) -> None:
    """A Swarm gives it the number of that one, and another id."""
    world = World()
    deploy.up(Swarmlike(Stack("p", tmp_path, (PLAIN,)), world), Recorded(), deploy.UpOptions(0.1))

    assert "plain-1-2" == world.replicas["plain-1"].id


class Restarting(Memory):
    """An engine whose app exits until its database has run for a while, as it is restarted with `restart: always`."""

    began = 0.0
    is_broken = False

    def _needs(self) -> float:
        return max(time.monotonic() - self.began, 0.0)

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return an app that was restarted each 100 ms until its database was ready, and ever since if it is broken."""
        seconds = self._needs() if self.is_broken else min(self._needs(), 0.2)
        restarts = int(seconds / 0.1) if service == "app" else 0
        return tuple(replace(each, restarts=restarts) for each in super().replicas(service))

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Count the seconds since the last restart."""
        ran = self._needs() - (0.2 if replica.service == "app" else 0.0)
        self.world.running_seconds[replica.name] = -1 if self.is_broken and replica.service == "app" else ran
        return super().check_health(replica, within)


@pytest.mark.parametrize(("restart", "state", "is_kept"), [("always", "restarting", True), ("no", "exited (1)", False)])
def test_first_replica_that_exits_at_once_stays_if_it_is_restarted(
    tmp_path: Path, restart: str, state: str, *, is_kept: bool
) -> None:
    """It may start with its dependency; `up` decides that when everything runs."""

    class Exiting(Memory):
        def create_replica(self, service: Service, number: int) -> Replica:
            made = super().create_replica(service, number)
            self.world.replicas[made.name] = replace(made, state=state)
            return made

    engine = Exiting(Stack("p", tmp_path, (replace(PLAIN, restart=restart),)), World())
    with pytest.raises(EngineError, match=re.escape(f"plain-1 {'is not ready after' if is_kept else state}")):
        deploy.up(engine, Recorded(), deploy.UpOptions(0.1))
    assert is_kept == ("plain-1" in engine.world.replicas)


@pytest.mark.parametrize("is_broken", [False, True])
def test_service_that_exits_until_its_database_is_ready_is_waited_for(tmp_path: Path, *, is_broken: bool) -> None:
    """As with Compose; one that keeps crashing after that is reported at once, and not when its time is over."""
    engine = Restarting(Stack("p", tmp_path, (DATABASE, APP)), World())
    engine.began, engine.is_broken = time.monotonic(), is_broken
    expected = (
        pytest.raises(EngineError, match=r"^app-1 keeps crashing \(restarted \d+ times\). Try: invoke logs app")
        if is_broken
        else contextlib.nullcontext()
    )

    with expected:
        deploy.up(engine, Recorded())
    assert time.monotonic() - engine.began < SECONDS_AT_MOST


SECONDS_AT_MOST = 5.0


def test_replicas_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """So `status` takes as long as the slowest check, not as the sum of all."""

    class Slow(Memory):
        def check_health(self, replica: object, within: float | None = None) -> Health:  # noqa: ARG002 - all alike
            time.sleep(0.2)
            return Health(is_ready=True)

    engine = Slow(Stack("p", tmp_path, (Service("app:1", "app:1", replicas=5),)), World())
    deploy.up(engine, Recorded())
    began = time.monotonic()

    assert status(engine).ready
    assert time.monotonic() - began < 0.8


@pytest.mark.parametrize(
    ("releases", "failed", "rest"),
    [
        (("one", "one"), "two", "release one is still running"),
        (("two",), "one", "release two is still running"),
        (("one", "two"), "two", "app-1, app-2 are still running"),
        (("",), "", "app-1 is still running"),
        ((), "one", "no app is running"),
    ],
)
def test_error_names_the_release_that_is_still_running(releases: tuple[str, ...], failed: str, rest: str) -> None:
    """After a failed rollback that is the newer one, so it is not called the previous one."""
    replicas = [Replica("app", n, f"{n}", "running", {}, release=name) for n, name in enumerate(releases, 1)]

    assert rest == readiness.still_running(replicas, Replica("app", 9, "9", "exited (1)", {}, release=failed))
