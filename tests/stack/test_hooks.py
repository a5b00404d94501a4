"""Commands that are executed in replicas, `post_start` and `pre_stop`, on the engine in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.conftest import Recorded
from tests.memory_engine import KilledProcessError, Memory, World
from twelfth.errors import EngineError
from twelfth.model.hook import Hook
from twelfth.model.service import Build, Port, Service
from twelfth.model.stack import Network, Stack
from twelfth.stack import deploy, lifecycle

WARM, BYE = Hook(("echo", "warm")), Hook(("printenv", "NAME"), environment=(("NAME", "bye"),))
FAILING = Hook(("sh", "-c", "echo no such cache; exit 3"))
APP = Service("app", "app:1", build=Build(Path()), stop_grace=1, monitor=0, post_start=(WARM,), pre_stop=(BYE,))


@dataclass
class Site:
    """A stack of one service with hooks."""

    directory: Path
    app: Service = APP
    others: tuple[Service, ...] = ()
    world: World = field(default_factory=World)

    @property
    def engine(self) -> Memory:
        """Return a new engine."""
        return Memory(Stack("p", self.directory, (self.app, *self.others), (Network("front"),)), self.world)

    def up(self) -> list[str]:
        """Bring it up and return the details of its steps."""
        report = Recorded()
        deploy.up(self.engine, report)
        return report.details

    def replica(self) -> str:
        """Return the id and state of the only replica."""
        [replica] = self.engine.replicas("app")
        return f"{replica.id} {replica.state}"

    def changes(self) -> list[str]:
        """Return what was done to replicas and in them since the last call."""
        done = [change for change in self.world.done if not change.startswith(("image", "remove release"))]
        self.world.done.clear()
        return done


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site that is up."""
    site = Site(tmp_path)
    assert "app-1 post_start: warm" in site.up()
    return site


def test_hooks_of_a_replica_that_is_replaced(site: Site) -> None:
    """Those of the new one run at once, before it gets requests; those of the old one before it is stopped."""
    site.changes()
    site.app = replace(APP, image="app:2")
    details = site.up()

    assert ["app-1 post_start: warm", "app-1 pre_stop: bye"] == [line for line in details if "app-1" in line]
    assert [
        "create new app-1",
        "start new app-1",
        "execute echo warm in new app-1",
        "execute printenv NAME in app-1",
        "remove app-1",
    ] == site.changes()


def test_hooks_of_a_replica_that_is_replaced_in_place(site: Site) -> None:
    """The old one is stopped first."""
    site.app = replace(APP, ports=(Port(80, 8000),))
    site.up()
    site.changes()
    site.app = replace(site.app, image="app:2")
    site.up()

    order = ["execute printenv NAME in app-1", "stop app-1", "start new app-1", "execute echo warm in new app-1"]
    assert order == [change for change in site.changes() if change in order]


def test_replica_whose_post_start_fails_is_removed(site: Site) -> None:
    """The previous one keeps running, as with any replica that does not get ready."""
    before = site.replica()
    site.app = replace(APP, image="app:2", post_start=(FAILING, WARM))

    why = r"^post_start of app-1 failed: no such cache \(exit code 3\); release 1 is still running\. Fix that"
    with pytest.raises(EngineError, match=why):
        site.up()
    assert before == site.replica()
    assert "execute echo warm in new app-1" not in site.changes()


def test_replica_that_would_be_replaced_in_place_keeps_running_if_post_start_fails(site: Site) -> None:
    """The hooks are executed in the candidate first, so the old one is not even stopped."""
    site.app = replace(APP, ports=(Port(80, 8000),))
    site.up()
    before = site.replica()
    site.changes()
    site.app = replace(site.app, image="app:2", post_start=(FAILING,))

    with pytest.raises(EngineError, match=r"no such cache \(exit code 3\); release 1 is still running\. Fix that"):
        site.up()
    assert before == site.replica()


def test_replica_whose_pre_stop_fails_keeps_running(site: Site) -> None:
    """As with Compose; the hooks are those that are declared now, so `down` works once the file is corrected."""
    before = site.replica()
    site.app = replace(APP, pre_stop=(FAILING,))

    why = r"^pre_stop of app-1 failed: no such cache \(exit code 3\); app-1 is still running\. Fix that"
    with pytest.raises(EngineError, match=why):
        lifecycle.down(site.engine, Recorded())
    assert before == site.replica()

    site.app = APP
    lifecycle.down(site.engine, Recorded())
    assert {} == site.world.replicas


def test_nothing_is_executed_in_a_replica_that_has_exited(site: Site) -> None:
    """It is removed or started."""
    site.world.end_replica("app-1", "crash")
    site.changes()
    site.up()
    assert ["start app-1", "execute echo warm in app-1"] == site.changes()

    site.world.end_replica("app-1", "crash")
    lifecycle.down(site.engine, Recorded())
    assert "remove app-1" == site.changes()[0]


def test_hooks_of_a_new_replica_of_a_larger_scale(site: Site) -> None:
    """It is a copy of a running one."""
    site.changes()
    lifecycle.scale(site.engine, replace(APP, replicas=2), Recorded())

    assert ["clone app-1 as app-2", "execute echo warm in app-2"] == site.changes()[:2]


def test_hooks_are_executed_by_the_next_up_if_one_was_killed_before_them(tmp_path: Path) -> None:
    """Before the replica gets requests."""
    web = Service("web", "web:1", networks=("front",), depends_on=("app",), monitor=0)
    site = Site(tmp_path, replace(APP, networks=("front",)), others=(web,))
    site.world.kill_at = len(["image app:1", "image web:1", "create front", "create app-1"])
    with pytest.raises(KilledProcessError):
        site.up()
    site.world.kill_at = None
    site.changes()
    site.up()

    assert ["execute echo warm in app-1", "admit app-1"] == site.changes()[:2]
