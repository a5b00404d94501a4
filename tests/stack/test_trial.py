"""A service with a fixed port is tried before its replica is replaced, in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import KilledProcessError, Memory, World
from twelfth.errors import EngineError
from twelfth.model.service import Build, Mount, Port, Service, as_options
from twelfth.model.snapshot import Health
from twelfth.model.stack import Stack, Volume
from twelfth.stack import deploy, trial
from twelfth.stack.deploy_record import read_deploys
from twelfth.stack.steps import TryReplica

if TYPE_CHECKING:
    from pathlib import Path

WEB = Service("web", "web:1", ports=(Port(80, 8000),), monitor=0)
MEDIA = Mount("volume", "/media", "media")


@dataclass
class Site:
    """A stack of one service that publishes a port."""

    directory: Path
    web: Service = WEB
    world: World = field(default_factory=World)

    def engine(self) -> Memory:
        """Return a new engine."""
        return Memory(Stack("p", self.directory, (self.web,), volumes=(Volume("media"),)), self.world)

    def up(self) -> Recorded:
        """Bring it up, and forget the changes before."""
        report = Recorded()
        self.world.done.clear()
        deploy.up(self.engine(), report, deploy.UpOptions(0.1))
        return report

    def replicas(self) -> list[str]:
        """Return the ids of the replicas that serve, and the names of the others."""
        return [replica.id if replica.serves else replica.name for replica in self.engine().replicas("web")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site that is up, whose image was changed."""
    site = Site(tmp_path)
    assert not any("Try" in step for step in site.up().steps)  # there is nothing that could be kept running
    site.web = replace(WEB, image="web:2")
    return site


def test_candidate_has_no_port_and_is_removed_before_the_old_replica_is_stopped(site: Site) -> None:
    """Then the time without answers is known."""
    report = site.up()

    assert ["create web-2", "remove web-2", "create new web-1"] == site.world.done[1:4]
    why = "before web-1 is replaced; web publishes 8000: no answers between stop and start; see docs/proxy.md"
    assert f"Try web-2 without its ports ({why})" in report.steps
    assert "web publishes 8000: about 0.0 s without answers (measured on the candidate); see docs/proxy.md" in (
        report.details
    )
    assert [] == site.up().steps
    site.web = replace(WEB, image="web:3")
    [step] = (step for step in deploy.plan_up(site.engine()) if isinstance(step, TryReplica))
    assert "web publishes 8000: about 0.0 s without answers (measured on the last candidate)" in str(step)


@pytest.mark.parametrize("has_check", [True, False])
def test_time_for_which_a_service_without_a_healthcheck_has_to_run_is_not_counted(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, has_check: bool
) -> None:
    """It answers meanwhile, as far as is known."""

    def wait(*_: object) -> Health:
        time.sleep(0.5)
        return Health(is_ready=True, has_check=has_check)

    monkeypatch.setattr(trial, "wait_until_ready", wait)
    site.up()

    assert has_check == (read_deploys(site.engine().state).trials["web"] >= 0.5)


@pytest.mark.parametrize("failure", ["exits", "is never ready", "cannot be created", "is interrupted"])
def test_old_replica_is_untouched_if_the_candidate_fails(site: Site, failure: str) -> None:
    """The candidate is removed."""
    before = site.replicas()
    if failure == "exits":
        site.world.dying["web"] = "ImportError"
    elif failure == "is never ready":
        site.world.healths["web-2"] = Health(is_ready=False, output="no")
    elif failure == "cannot be created":
        site.world.failures["create web-2"] = EngineError("web-2 cannot be created; web-1 is still running")
    else:
        site.world.failures["remove web-2"] = KeyboardInterrupt()
    with pytest.raises((EngineError, KeyboardInterrupt)) as failed:
        site.up()

    if failure == "is interrupted":
        site.world.failures.clear()
        assert [*before, "web-2"] == site.replicas()
        assert "Remove web-2 (its trial was interrupted)" in site.up().steps
    else:
        assert "web-1 is still running" in str(failed.value)
        assert before == site.replicas()
    assert not any("web-1" in change for change in site.world.done[:2])


@pytest.mark.parametrize("deploys_next", [True, False])
def test_candidate_of_a_killed_up_is_removed_by_the_next(site: Site, deploys_next: bool) -> None:  # noqa: FBT001
    """Also if the old release is wanted again: the candidate is never taken for a replica that serves."""
    before = site.replicas()
    site.world.kill_at = 2
    with pytest.raises(KilledProcessError):
        site.up()
    site.world.kill_at = None
    assert [*before, "web-2"] == site.replicas()

    site.web = site.web if deploys_next else WEB
    site.up()

    assert "remove web-2" == site.world.done[0]
    assert 1 == len(site.replicas())
    assert deploys_next == (before != site.replicas())
    assert [] == site.up().steps


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mounts": (MEDIA,)}, "keeps its data in the volume media"),
        ({"mounts": (Mount("bind", "/data", "/srv/data"),)}, "writes to /srv/data"),
        ({"container_name": "shop"}, "is called shop"),
        ({"options": as_options({"network_mode": "host"})}, "has network_mode host"),
        ({"options": as_options({"mac_address": "02:42:ac:11:00:02"})}, "has the address 02:42:ac:11:00:02"),
        ({"endpoints": as_options({"front": {"ipv4_address": "10.0.0.9"}})}, "has the address 10.0.0.9"),
        ({"mounts": (replace(MEDIA, is_shared=True),)}, ""),
        ({"mounts": (replace(MEDIA, read_only=True),)}, ""),
        ({"mounts": (Mount("bind", "/data", "/srv/data", is_shared=True),)}, ""),
        ({}, ""),
    ],
)
def test_exclusive_service_is_not_tried_and_named(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    """Two replicas of it cannot exist at the same time."""
    exclusive = replace(WEB, **changes)  # type: ignore[arg-type]
    site = Site(tmp_path, exclusive)
    site.up()
    site.web = replace(exclusive, image="web:2")
    steps = site.up().steps

    assert why == exclusive.why_exclusive
    assert (not why) == any(step.startswith("Try web-2") for step in steps)
    assert bool(why) == any(step.endswith(f"; not tried first: it {why})") for step in steps)


def test_code_that_is_mounted_over_that_of_the_image_is_shared(tmp_path: Path) -> None:
    """A directory below it may be that of a database."""
    built = replace(WEB, build=Build(tmp_path / "app"))
    assert "" == replace(built, mounts=(Mount("bind", "/app", str(tmp_path / "app")),)).why_exclusive
    assert replace(built, mounts=(Mount("bind", "/data", str(tmp_path / "app" / "data")),)).why_exclusive


def test_shared_volume_does_not_limit_replicas() -> None:
    """A fixed port does."""
    shared = replace(WEB, mounts=(replace(MEDIA, is_shared=True),))
    assert "publishes port 8000" == shared.why_single
    assert "" == replace(shared, ports=()).why_single
    assert not replace(shared, ports=()).is_replaced_in_place
