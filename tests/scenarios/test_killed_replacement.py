"""`up` is killed with -9 at each request of an in-place replacement, on a private daemon that then restarts.

The old container and the new one never run on one volume, whatever the last request was, and the next `up` finishes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import docker
import pytest

from tests import daemon, tiny_image
from tests.conftest import Recorded, eventually
from tests.forks import FORKS
from tests.sample import FULL
from twelfth.engines.docker.engine import Docker
from twelfth.engines.local.engine import Local
from twelfth.engines.local.supervisord import Supervisor
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Mount, Service
from twelfth.model.stack import Network, Stack, Volume
from twelfth.stack import deploy, lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE = "tiny:1"
MOST_REQUESTS = 20
POLICIES = ("always", "unless-stopped", "on-failure", "no") if FULL else ("always",)
NAMES = ("", "database") if FULL else ("database",)
MOMENTS = range(MOST_REQUESTS) if FULL else (1, 6, 8, 10)
"""Before which requests of a replacement `up` is killed, counted from 0: the lock's container is created, attached to
and started, the change is recorded, the new container is created, the old one is stopped, its policy is set, its name
goes to the new one (2 requests), that is started, the old one is stopped and removed."""


@dataclass
class Site:
    """A stack of one service with data, on a private daemon."""

    url: str
    directory: Path
    policy: str
    name: str = ""

    def engine(self, value: str) -> Docker:
        """Return an engine for the service with a value in its environment."""
        db = Service(
            "db",
            IMAGE,
            command=tiny_image.LOOP,
            networks=("inside",),
            mounts=(Mount("volume", "/data", "data"),),
            restart=self.policy,
            environment=(("VALUE", value),),
            container_name=self.name,
            stop_grace=1,
            monitor=0.2,
        )
        return Docker(Stack("p", self.directory, (db,), (Network("inside", internal=True),), (Volume("data"),)))

    def deploy(self, value: str) -> list[str]:
        """Deploy and return the steps."""
        report = Recorded()
        deploy.up(self.engine(value), report)
        return report.steps

    def killed_at(self, request: int, value: str) -> bool:
        """Return whether a deploy was killed before one of its requests."""
        process = FORKS.Process(target=_deploy_and_die, args=(self, request, value))
        process.start()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}
        return process.exitcode != 0

    def containers(self) -> list[dict[str, Any]]:
        """Return the daemon's list of the service's containers."""
        with contextlib.closing(docker.APIClient(self.url)) as api:
            return [
                api.inspect_container(each["Id"])
                for each in api.containers(all=True, filters={"label": "com.docker.compose.project=p"})
            ]

    def running(self) -> list[str]:
        """Return the names of the running ones."""
        return [each["Name"] for each in self.containers() if each["State"]["Running"]]


def _deploy_and_die(site: Site, request: int, value: str) -> None:
    """Deploy, and end this process with KILL before one of the requests that change something."""
    numbers = itertools.count()
    send = docker.APIClient.send

    def counted(api: docker.APIClient, prepared: Any, **settings: Any) -> Any:
        if prepared.method != "GET" and next(numbers) == request:
            os.kill(os.getpid(), signal.SIGKILL)
        return send(api, prepared, **settings)

    cast("Any", docker.APIClient).send = counted
    os.environ["DOCKER_HOST"] = site.url
    site.deploy(value)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[daemon.Daemon]:
    """Return a private daemon with the image."""
    with daemon.daemon() as own:
        monkeypatch.setenv("DOCKER_HOST", own.url)
        with contextlib.closing(docker.APIClient(own.url)) as api:
            tiny_image.put(api, IMAGE)
        yield own


def restart(own: daemon.Daemon) -> None:
    """Kill the daemon and start it again."""
    own.end(signal.SIGKILL)
    own.start()


@pytest.mark.thorough
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", NAMES)
def test_up_killed_at_any_request_never_leaves_two_that_run(
    own: daemon.Daemon, tmp_path: Path, policy: str, name: str
) -> None:
    """After a restart of the daemon at most one runs; the next `up` makes it the one that is declared."""
    site, values = Site(own.url, tmp_path, policy, name), map(str, itertools.count())
    site.deploy(next(values))
    killed = 0
    for moment in MOMENTS:
        value = next(values)
        if not site.killed_at(moment, value):
            break
        killed += 1
        assert len(site.running()) <= 1
        restart(own)
        assert len(site.running()) <= 1
        if policy == "always":
            assert any(each["HostConfig"]["RestartPolicy"]["Name"] == "always" for each in site.containers())
        again = value if moment % 2 else next(values)
        site.deploy(again)
        (only,) = site.containers()
        assert (True, policy) == (only["State"]["Running"], only["HostConfig"]["RestartPolicy"]["Name"])
        assert f"VALUE={again}" in only["Config"]["Env"]
        assert f"/{name or 'p-db-1'}" == only["Name"]
        assert () == deploy.plan_up(site.engine(again))
    assert killed >= (len(MOMENTS) if not FULL else 6)


LOCAL_MOMENTS = range(MOST_REQUESTS) if FULL else (2, 3)
"""Before which calls of supervisord: the old process is stopped, the new one is read and started, the old one is
forgotten."""


def local(directory: Path, value: str) -> Local:
    """Return an engine without a daemon for a service with data, with a value in its environment."""
    how = LocalSettings(("sleep", "600"), environment=(("VALUE", value),))
    db = Service(
        "db", IMAGE, mounts=(Mount("volume", "/data", "data"),), restart="always", local=how, stop_grace=2, monitor=0.2
    )
    return Local(Stack("killed-replacement", directory, (db,), volumes=(Volume("data"),)))


def _deploy_locally_and_die(directory: Path, moment: int, value: str) -> None:
    """Deploy, and end this process with KILL before one of the calls that change something."""
    numbers, call = itertools.count(), Supervisor._call  # noqa: SLF001 - where all of them pass

    def counted(self: Supervisor, method: str, *arguments: object) -> object:
        if not method.startswith("get") and next(numbers) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, method, *arguments)

    cast("Any", Supervisor)._call = counted  # noqa: SLF001 - as above
    deploy.up(local(directory, value), Recorded())


@pytest.mark.thorough
def test_local_up_killed_at_any_call_never_leaves_two_that_run(tmp_path: Path) -> None:
    """Also after its supervisord was killed; the next `up` makes the one process that is declared."""
    values = map(str, itertools.count())
    deploy.up(local(tmp_path, next(values)), Recorded())
    killed = 0
    try:
        for moment in LOCAL_MOMENTS:
            value = next(values)
            process = FORKS.Process(target=_deploy_locally_and_die, args=(tmp_path, moment, value))
            process.start()
            process.join()
            if process.exitcode == 0:
                break
            killed += 1
            engine = local(tmp_path, value)
            assert sum(each.is_running for each in engine.replicas("db")) <= 1
            if moment % 2 == 0:
                pidfile = engine.home / "supervisord.pid"
                os.kill(int(pidfile.read_text("utf-8")), signal.SIGKILL)
                pidfile.unlink()
            again = value if moment % 3 else next(values)
            deploy.up(local(tmp_path, again), Recorded())
            (only,) = local(tmp_path, again).replicas("db")
            assert (True, again) == (only.is_running, only.recipe["environment.VALUE"])
            assert () == deploy.plan_up(local(tmp_path, again))
    finally:
        lifecycle.down(local(tmp_path, ""), Recorded(), volumes=True)
    assert killed == (len(["stop", "read", "start", "forget"]) if FULL else len(LOCAL_MOMENTS))


@pytest.mark.thorough
def test_container_of_composes_is_put_back_with_its_name_and_policy(own: daemon.Daemon, tmp_path: Path) -> None:
    """It has no labels of twelfth; the new one exits immediately."""
    site = Site(own.url, tmp_path, "unless-stopped", "database")
    site.deploy("one")
    engine = site.engine("one")
    (ours,) = site.containers()
    labels = {name: value for name, value in ours["Config"]["Labels"].items() if name.startswith("com.docker.compose.")}
    body = ours["Config"] | {"Labels": labels, "HostConfig": ours["HostConfig"]}
    with contextlib.closing(docker.APIClient(own.url)) as api:
        api.remove_container(ours["Id"], force=True)
        api.start(api.create_container_from_config(body, "database")["Id"])
    (before,) = site.containers()
    changes = [str(step) for step in deploy.plan_up(site.engine("one"))]
    broken = replace(engine.stack.services[0], command=("sh", "-c", "exit 3"))
    with pytest.raises(Exception, match="db-1 is restored"):
        deploy.up(Docker(replace(engine.stack, services=(broken,))), Recorded())

    (after,) = site.containers()
    assert eventually(lambda: ["/database"] == site.running())
    assert (before["Id"], before["Name"]) == (after["Id"], after["Name"])
    assert before["HostConfig"]["RestartPolicy"] == after["HostConfig"]["RestartPolicy"]
    assert changes == [str(step) for step in deploy.plan_up(site.engine("one"))]
