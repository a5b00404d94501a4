"""A published port moves from a service to its generated proxy and back, on the engine in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.compose.proxy import with_proxy
from twelfth.errors import EngineError, MisuseError
from twelfth.model.service import Port, Service
from twelfth.model.stack import PROXY, Network, Proxy, Stack
from twelfth.stack import deploy, lifecycle, notices

if TYPE_CHECKING:
    from pathlib import Path

APP = Service("app", "app:1", networks=("default",), ports=(Port(8000, 80),), monitor=0)
OTHER = Service("worker", "app:1", networks=("default",), monitor=0)


@dataclass
class Site:
    """A stack with or without the key; `done` has what the last command did to replicas."""

    directory: Path
    app: Service = APP
    has_proxy: bool = False
    world: World = field(default_factory=World)

    def engine(self) -> Memory:
        """Return a new engine."""
        proxy = Proxy("app", 8000) if self.has_proxy else None
        stack = Stack("p", self.directory, (self.app, OTHER), (Network("default"),), proxy=proxy)
        return Memory(with_proxy(stack), self.world)

    def up(self, *only: str, has_proxy: bool, **changes: object) -> list[str]:
        """Deploy changes to the service, and return what was done to replicas."""
        self.has_proxy, self.app = has_proxy, replace(self.app, **changes)  # type: ignore[arg-type]
        self.world.done.clear()
        deploy.up(self.engine(), Recorded(), deploy.UpOptions(only=only))
        return [change for change in self.world.done if change.startswith(("create ", "remove ")) and "-" in change]

    @property
    def replicas(self) -> list[str]:
        """Return the names of the replicas."""
        return sorted(replica.name for replica in self.world.replicas.values())


@pytest.fixture
def direct(tmp_path: Path) -> Site:
    """Return a stack whose service publishes its port."""
    site = Site(tmp_path)
    site.up(has_proxy=False)
    return site


@pytest.fixture
def proxied(tmp_path: Path) -> Site:
    """Return a stack whose service is behind the proxy."""
    site = Site(tmp_path)
    site.up(has_proxy=True)
    return site


def test_proxy_is_tried_and_created_right_after_its_port_is_free(direct: Site) -> None:
    """Other services and further replicas follow, since no one answers in between."""
    done = direct.up(has_proxy=True, replicas=2)

    handover = ["create new app-1", "create proxy-1", "remove proxy-1", "remove app-1", "create proxy-1"]
    assert [*handover, "create app-2"] == done


def test_bad_release_that_adds_the_proxy_leaves_the_old_one_with_the_port(direct: Site) -> None:
    """Nothing was removed."""
    direct.world.dying["app"] = "cannot import"

    with pytest.raises(EngineError, match="cannot import"):
        direct.up(has_proxy=True, image="app:2")

    assert ["app-1", "worker-1"] == direct.replicas
    assert "port.80" in direct.world.replicas["app-1"].recipe


def test_proxy_that_does_not_start_leaves_the_port_to_the_service(direct: Site) -> None:
    """The trial fails before the old replica is removed; the next `up` completes the change."""
    direct.world.dying[PROXY] = "invalid configuration"

    with pytest.raises(EngineError, match="invalid configuration"):
        direct.up(has_proxy=True)

    assert "port.80" in direct.world.replicas["app-1"].recipe
    direct.world.dying.clear()
    direct.up(has_proxy=True)
    assert ["app-1", "proxy-1", "worker-1"] == direct.replicas


def test_proxy_is_removed_after_the_trial_right_before_the_service_gets_its_port(proxied: Site) -> None:
    """It needs no --remove-orphans."""
    done = proxied.up(has_proxy=False)

    assert ["create app-2", "remove app-2", "remove proxy-1", "create new app-1", "remove app-1"] == done
    assert ["app-1", "worker-1"] == proxied.replicas


def test_all_replicas_serve_until_the_trial_has_succeeded(tmp_path: Path) -> None:
    """A service that publishes its port has one replica; those that are too many are removed after the trial."""
    site = Site(tmp_path, replace(APP, replicas=2))
    site.up(has_proxy=True)

    done = site.up(has_proxy=False, replicas=1, image="app:2")
    handover = ["remove app-1", "remove proxy-1", "create app-1", "remove app-2"]
    assert ["create app-3", "remove app-3", *handover] == done


def test_replicas_of_a_fixed_port_are_refused_before_anything_is_changed(direct: Site) -> None:
    """Only one container can have the port."""
    with pytest.raises(MisuseError, match=r"cannot run 2 replicas of app: it publishes port 80, so .* docs/proxy.md"):
        direct.up(has_proxy=False, replicas=2)
    assert [] == direct.world.done


def test_status_says_that_the_proxy_has_the_port_until_the_next_deploy(proxied: Site) -> None:
    """It is no orphan."""
    proxied.has_proxy = False
    engine = proxied.engine()

    warning = "proxy-1 has the port until the next deploy: x-twelfth.proxy was removed. Try: invoke up"
    assert [warning] == [*notices.of_status(engine, engine.observe())]
    assert [] == [*notices.of_up(engine, engine.observe(), remove_orphans=False)]


def test_bad_release_that_removes_the_proxy_costs_nothing(proxied: Site) -> None:
    """The trial fails, and the proxy still forwards to the old replica."""
    proxied.world.dying["app"] = "cannot import"

    with pytest.raises(EngineError, match="cannot import"):
        proxied.up(has_proxy=False, image="app:2")

    assert ["app-1", "proxy-1", "worker-1"] == proxied.replicas


def test_proxy_is_removed_also_if_no_service_gets_its_port(proxied: Site) -> None:
    """The key and `ports` were removed together."""
    assert "remove proxy-1" == proxied.up(has_proxy=False, ports=())[0]
    assert ["app-1", "worker-1"] == proxied.replicas


@pytest.mark.parametrize("has_proxy", [True, False])
def test_up_of_the_service_includes_its_proxy(tmp_path: Path, *, has_proxy: bool) -> None:
    """Without it, the service could not be reached."""
    site = Site(tmp_path)
    site.up(has_proxy=not has_proxy)
    site.up("app", has_proxy=has_proxy)

    assert has_proxy == ("proxy-1" in site.replicas)


@pytest.mark.parametrize("only", [(), ("worker",)])
def test_proxy_that_moves_to_another_service_is_refused_before_any_change(
    proxied: Site, monkeypatch: pytest.MonkeyPatch, only: tuple[str, ...]
) -> None:
    """The first service needs the port that the proxy has until it is replaced."""
    worker = replace(OTHER, ports=(Port(9000, 90),))
    stack = Stack("p", proxied.directory, (APP, worker), (Network("default"),), proxy=Proxy("worker", 9000))
    monkeypatch.setattr(Site, "engine", lambda site: Memory(with_proxy(stack), site.world))

    with pytest.raises(MisuseError, match=r"^cannot publish port 80 of app: the proxy has it"):
        proxied.up(*only, has_proxy=True)

    assert [] == proxied.world.done


def test_proxy_moves_to_another_service_with_its_port(proxied: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its configuration changes."""
    worker = replace(OTHER, ports=APP.ports)
    stack = Stack(
        "p", proxied.directory, (replace(APP, ports=()), worker), (Network("default"),), proxy=Proxy("worker", 8000)
    )
    monkeypatch.setattr(Site, "engine", lambda site: Memory(with_proxy(stack), site.world))
    proxied.up(has_proxy=True)

    assert "port.80" in proxied.world.replicas["proxy-1"].recipe


def test_down_removes_the_proxy_whose_key_was_removed_and_leaves_orphans(proxied: Site) -> None:
    """An orphan is a service that was declared."""
    orphan = replace(proxied.world.replicas["worker-1"], service="old", id="old")
    proxied.world.replicas["old-1"] = orphan
    proxied.has_proxy = False
    lifecycle.down(proxied.engine(), Recorded())

    assert ["old-1"] == proxied.replicas
