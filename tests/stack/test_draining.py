"""Draining replicas at the generated proxy before they are removed, on the engine in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.compose.proxy import with_proxy
from twelfth.model.service import Port, Service
from twelfth.model.stack import Network, Proxy, Stack
from twelfth.stack import deploy, lifecycle
from twelfth.stack.draining import drain_script
from twelfth.stack.service_changes import change

if TYPE_CHECKING:
    from twelfth.model.hook import Hook
    from twelfth.model.snapshot import Replica

APP = Service("app", "app:1", networks=("default",), ports=(Port(8000, 80),), monitor=0)
STACK = Stack("p", Path(), (APP,), (Network("default"),), proxy=Proxy("app", 8000, drain=2.5))


class Site(Memory):
    """An engine with addresses, whose proxy executes every script with this exit code and output."""

    result = (0, "")

    def addresses(self, replica: Replica) -> tuple[str, ...]:
        """Return an address that names the replica."""
        return (f"10.0.0.{replica.number}",)

    def execute_hook(self, replica: Replica, hook: Hook) -> tuple[int, str]:
        """Note which script was executed."""
        is_drain = "state drain" in hook.command[-1]
        self.world.begin(f"{'drain' if is_drain else 'readmit'} by {replica.name}")
        return self.result


def up(world: World, stack: Stack, result: tuple[int, str] = (0, "")) -> tuple[list[str], list[str]]:
    """Bring a stack up and return what was done to replicas, and the details."""
    world.done.clear()
    site, report = Site(stack, world), Recorded()
    site.result = result
    deploy.up(site, report)
    return [change for change in world.done if change.startswith(("drain", "readmit", "remove"))], report.details


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world in which the stack is up."""
    world = World()
    up(world, with_proxy(replace(STACK, directory=tmp_path)))
    return world


def test_replaced_replica_is_drained_before_it_is_removed(world: World, tmp_path: Path) -> None:
    """Its place in the proxy can be used again after that."""
    done, _ = up(world, with_proxy(replace(STACK, directory=tmp_path).with_service(replace(APP, image="app:2"))))
    assert ["drain by proxy-1", "remove app-1", "readmit by proxy-1"] == done


def test_replica_is_drained_before_a_restart_stops_it(world: World, tmp_path: Path) -> None:
    """The other one answers meanwhile; `stop` leaves none that could."""
    site = Site(with_proxy(replace(STACK, directory=tmp_path)), world)
    lifecycle.scale(site, replace(APP, replicas=2), Recorded())
    world.done.clear()
    change(site, "restart", ["app"], Recorded())
    first, second = (
        ["drain by proxy-1", f"stop app-{number}", "readmit by proxy-1", f"start app-{number}"] for number in (1, 2)
    )
    assert first + second == world.done

    world.done.clear()
    change(site, "stop", ["app"], Recorded())
    assert ["stop app-1", "stop app-2"] == sorted(world.done)


def test_deploy_does_not_depend_on_draining(world: World, tmp_path: Path) -> None:
    """A failure is reported."""
    changed = with_proxy(replace(STACK, directory=tmp_path).with_service(replace(APP, image="app:2")))
    done, details = up(world, changed, (1, "requests are still open after 3 s\n"))
    assert "remove app-1" in done
    assert "proxy-1 did not drain app-1: requests are still open after 3 s" in details


def test_script_has_the_addresses_and_whole_seconds() -> None:
    """The shell compares integers."""
    script = drain_script(["10.0.0.1", "10.1.0.1"], 2.5)
    assert "' 10.0.0.1 10.1.0.1 '" in script
    assert "+ 3))" in script
