"""`stop`, `start` and `restart` of services that exist, on the engine in memory."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import KilledProcessError, Memory, World
from twelfth.errors import EngineError, MisuseError
from twelfth.model.hook import Hook
from twelfth.model.service import Mount, Service
from twelfth.model.snapshot import Health, Replica, Snapshot
from twelfth.model.stack import Stack
from twelfth.runs.history import Query, history
from twelfth.stack import deploy, selection
from twelfth.stack.service_changes import change
from twelfth.stack.status import status

if TYPE_CHECKING:
    from pathlib import Path

DB = Service("db", "db:1", monitor=0)
APP = Service("app", "app:1", replicas=2, depends_on=("db",), monitor=0, restart="unless-stopped")
HOOKED = replace(APP, post_start=(Hook(("echo", "warm")),), pre_stop=(Hook(("echo", "bye")),))


class Site:
    """A stack in memory that is up."""

    def __init__(self, directory: Path, *services: Service) -> None:
        """Deploy the services."""
        self.world = World()
        self.engine = Memory(Stack("p", directory, services), self.world)
        deploy.up(self.engine, Recorded())
        self.world.done.clear()

    def do(self, command: str, *names: str, within: float | None = None) -> list[str]:
        """Execute a command, and return its steps."""
        report = Recorded()
        change(self.engine, command, names, report, within)
        return report.steps


def test_dependents_are_stopped_first_and_started_last(tmp_path: Path) -> None:
    """The whole stack stays stopped when the engine restarts, is not ready, and `up` starts it again."""
    site = Site(tmp_path, DB, APP)
    ids = {replica.id for replica in site.engine.replicas("")}
    assert ["Stop app-2 (stop)", "Stop app-1 (stop)", "Stop db-1 (stop)"] == site.do("stop")
    site.world.restart()
    assert not status(site.engine).ready
    assert {"stopped"} == {replica.state for replica in site.engine.replicas("")}
    starts = ["Start db-1 (stopped)", "Start app-1 (stopped)", "Start app-2 (stopped)"]
    assert starts == [str(step) for step in deploy.plan_up(site.engine)]

    assert starts == site.do("start")
    assert ids == {replica.id for replica in site.engine.replicas("") if replica.serves}
    assert [] == site.do("start")


@pytest.mark.parametrize("names", [("db", "app"), ("app", "db")])
def test_several_services_are_stopped_as_one_change(tmp_path: Path, names: tuple[str, ...]) -> None:
    """In the order of their dependencies; a name that is no service stops nothing."""
    site = Site(tmp_path, DB, replace(DB, name="other"), APP)
    with pytest.raises(MisuseError, match="cannot stop none: there is no such service; there are "):
        site.do("stop", *names, "none")
    assert [] == site.world.done

    assert ["Stop app-2 (stop)", "Stop app-1 (stop)", "Stop db-1 (stop)"] == site.do("stop", *names)
    changes = [record for record in history(site.engine, Query()) if record.kind != "up"]
    assert [f"stop {' '.join(names)}"] == [f"{record.kind} {record.what}" for record in changes]


def test_replicas_are_restarted_one_after_the_other_with_their_hooks(tmp_path: Path) -> None:
    """The other one serves meanwhile."""
    site = Site(tmp_path, DB, HOOKED)
    site.do("restart", "app")

    first, second = (
        [f"execute echo bye in app-{n}", f"stop app-{n}", f"start app-{n}", f"execute echo warm in app-{n}"]
        for n in (1, 2)
    )
    assert first + second == site.world.done


def test_restart_that_fails_leaves_the_other_replica_running(tmp_path: Path) -> None:
    """The one that is not ready stays, with its log."""
    site = Site(tmp_path, APP)
    site.world.healths["app-1"] = Health(is_ready=False, output="loading", command="check")
    with pytest.raises(EngineError, match="app-1 is not ready"):
        site.do("restart", within=0.1)

    assert ["stop app-1", "start app-1"] == site.world.done
    assert {"app-1", "app-2"} == site.world.replicas.keys()


def test_service_that_has_completed_is_not_started_again(tmp_path: Path) -> None:
    """Only `up` runs it again."""
    seed = replace(DB, name="seed")
    app = replace(APP, depends_on=("seed",), conditions=(("seed", "service_completed_successfully"),))
    done = Replica("seed", 1, "a", "exited (0)", {})
    stack, snapshot = Stack("p", tmp_path, (seed, app)), Snapshot((done, Replica("app", 1, "b", "running", {})))

    assert () == selection.start(stack, snapshot, ())
    assert ["Stop app-1 (restart)", "Start app-1 (restart)"] == [*map(str, selection.restart(stack, snapshot, ()))]


@pytest.mark.parametrize("commands", [["start"], ["restart"], ["stop", "start"]])
@pytest.mark.parametrize("kill_at", range(8))
def test_never_starts_two_replicas_on_one_volume(tmp_path: Path, kill_at: int, commands: list[str]) -> None:
    """A killed `up` may leave an old replica and its replacement."""
    db = replace(DB, mounts=(Mount("volume", "/data", "data"),))
    site = Site(tmp_path, db)
    site.world.kill_at = kill_at
    with contextlib.suppress(KilledProcessError):
        deploy.up(Memory(Stack("p", tmp_path, (replace(db, image="db:2"),)), site.world), Recorded())
    site.world.kill_at, site.world.holder = None, None
    for command in commands:
        site.do(command, "db")

    assert ["db-1"] == [replica.name for replica in site.engine.replicas("db") if replica.is_running]


@pytest.mark.parametrize("state", ["paused", "restarting"])
def test_replica_that_is_paused_or_crashes_is_stopped_and_restarted(tmp_path: Path, state: str) -> None:
    """The engine would start it again."""
    stack, snapshot = Stack("p", tmp_path, (DB,)), Snapshot((Replica("db", 1, "a", state, {}),))

    assert ["Stop db-1 (stop)"] == [*map(str, selection.stop(stack, snapshot, ["db"]))]
    assert ["Stop db-1 (restart)", "Start db-1 (restart)"] == [*map(str, selection.restart(stack, snapshot, ["db"]))]


def test_service_in_the_network_of_another_is_restarted_with_it(tmp_path: Path) -> None:
    """Else it would stay in a network that no longer exists; one that is stopped stays so."""
    side, down = (replace(DB, name=name, follows=("db",)) for name in ("side", "down"))
    stack = Stack("p", tmp_path, (DB, side, down))
    others = Replica("side", 1, "b", "running", {}), Replica("down", 1, "c", "exited (0)", {})
    running, stopped = (Replica("db", 1, "a", state, {}) for state in ("running", "exited (0)"))
    follow = ["Stop side-1 (follows db)", "Start side-1 (follows db)"]

    restarted = selection.restart(stack, Snapshot((running, *others)), ["db"])
    assert ["Stop db-1 (restart)", "Start db-1 (restart)", *follow] == [*map(str, restarted)]
    started = selection.start(stack, Snapshot((stopped, *others)), ["db"])
    assert ["Start db-1 (exited (0))", *follow] == [*map(str, started)]
    assert () == selection.start(stack, Snapshot((running, *others)), ["db"])


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (selection.stop, "docker service scale p_app=0"),
        (selection.start, "invoke up"),
        (selection.restart, "docker service update --force p_app"),
    ],
)
def test_engine_that_rolls_services_refuses_to_stop_and_start_them(tmp_path: Path, command: type, hint: str) -> None:
    """The error names the command of Swarm."""
    snapshot = Snapshot((Replica("app", 1, "a", "running", {}),), rolls_services=True)
    with pytest.raises(MisuseError, match=f"Try: {hint}$"):
        command(Stack("p", tmp_path, (APP,)), snapshot, ["app"])
