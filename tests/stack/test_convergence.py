"""From any state that an `up` or `down` can leave, the next `up` finishes and the one after it has nothing to do.

What the Compose file says at each time, and where each command is killed or fails, is chosen at random; in memory.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded
from tests.memory_engine import KilledProcessError, Memory, World
from tests.release_commands import release_command
from tests.sample import FULL
from twelfth.errors import BusyError, EngineError, ServiceError
from twelfth.model.service import SERVICE_COMPLETED, Build, Mount, Port, Reload, Service
from twelfth.model.stack import Network, Stack, Volume
from twelfth.stack import deploy, lifecycle, status

if TYPE_CHECKING:
    from twelfth.model.snapshot import Replica

REMOVED = deploy.UpOptions(0.05, remove_orphans=True)


class WithJobs(Memory):
    """An engine whose jobs complete at once."""

    def create_replica(self, service: Service, number: int) -> Replica:
        """Create one that has completed, if it is of a job."""
        made = super().create_replica(service, number)
        if service.name in self.stack.completing:
            self.world.replicas[made.name] = replace(made, state="exited (0)")
        return self.world.replicas[made.name]


@dataclass(frozen=True)
class Declared:
    """What the Compose file says: values of the services' environments, their networks, how many workers."""

    values: tuple[str, str, str, str]
    internal: bool
    names: tuple[str, str]
    on_extra: frozenset[str]
    worker_on_back: bool
    workers: int
    has_job: bool
    has_side: bool
    writes: bool
    reloads: bool
    fails: bool

    def stack(self, directory: Path, *, fails: bool) -> Stack:
        """Return the stack; with `fails` its release command may fail."""
        database, job, worker, web = (self.service(*each) for each in zip(SERVICES, self.values, strict=True))
        worker = replace(
            worker,
            image=f"app:{self.values[2]}",
            networks=worker.networks if self.worker_on_back else tuple({*worker.networks} - {"back"}),
            replicas=self.workers,
            mounts=(Mount("bind", "/logs", "/logs"),) * self.writes,
            pre_start=release_command(("false",) if self.fails and fails else ("true",)),
        )
        web = replace(web, reload=Reload("SIGHUP") if self.reloads else None)
        web = replace(web, mounts=(Mount("config", "/web.cfg", str(directory / self.values[3])),))
        if not self.has_job:
            worker = replace(worker, depends_on=("database",), conditions=())
        services = [database, *([job] if self.has_job else []), worker, web]
        services += [self.service(SIDE, "a")] if self.has_side else []
        extra = replace(EXTRA, known_as=self.names[1])
        if self.names[0] == self.names[1] != "":
            extra = replace(extra, known_as="three")
        networks = (Network("front"), Network("back", self.internal, self.names[0]), extra)
        return Stack("p", directory, tuple(services), networks, (Volume("data"),))

    def service(self, service: Service, value: str) -> Service:
        """Return a service as it is declared."""
        extra = ("extra",) if service.name in self.on_extra else ()
        return replace(service, environment=(("VALUE", value),), networks=(*service.networks, *extra), monitor=0)


EXTRA = Network("extra")
SERVICES = (
    Service("database", "db:1", networks=("back",), mounts=(Mount("volume", "/data", "data"),), restart="always"),
    Service("job", "job:1", networks=("back",), depends_on=("database",)),
    Service(
        "worker",
        "app:a",
        build=Build(Path()),
        networks=("front", "back"),
        depends_on=("database", "job"),
        conditions=(("job", SERVICE_COMPLETED),),
        stop_grace=1,
    ),
    Service("web", "web:1", networks=("front",), ports=(Port(80, 18000, "127.0.0.1"),), depends_on=("worker",)),
)
SIDE = Service("side", "side:1", networks=("front",), depends_on=("database",), follows=("database",))

ENDS = [*range(15), "database", "worker", "web", "side", "restart", "", "down"]
"""The change before which `up` is killed, the service whose new replicas exit, or what else happens."""


NAMES = {service.name for service in (*SERVICES, SIDE)}


def declared(choose: random.Random) -> Declared:
    """Return what the Compose file says at one time."""

    def often(probability: float) -> bool:
        return choose.random() < probability

    a, b, c, d = choose.choices("ab", k=4)
    return Declared(
        values=(a, b, c, d),
        internal=often(0.3),
        names=(choose.choice(["", "one", "two"]), choose.choice(["", "one", "two"])),
        on_extra=frozenset(service.name for service in SERVICES if often(0.3)),
        worker_on_back=often(0.7),
        workers=choose.randint(1, 3),
        has_job=often(0.8),
        has_side=often(0.8),
        writes=often(0.2),
        reloads=often(0.7),
        fails=often(0.1),
    )


def happen(world: World, stack: Stack, end: str | int) -> None:
    """Bring the stack up or down, and end that as it is said."""
    world.done.clear()
    world.kill_at = end if isinstance(end, int) else 3 if end == "down" else None
    world.dying = {str(end): "out of luck"}
    refused = (KilledProcessError, BusyError, ServiceError)
    with contextlib.suppress(*refused, *([EngineError] if end in NAMES else [])):
        if end == "down":
            lifecycle.down(WithJobs(stack, world), Recorded())
        else:
            deploy.up(WithJobs(stack, world), Recorded(), replace(REMOVED, remove_orphans=end == ""))
    world.kill_at, world.dying = None, {}
    if end == "restart":
        world.restart()


@pytest.mark.parametrize("seed", range(1000 if FULL else 100))
def test_next_up_finishes_and_the_one_after_it_does_nothing(tmp_path: Path, seed: int) -> None:
    """All declared replicas serve then, and no others exist."""
    choose, world = random.Random(seed), World()  # noqa: S311 - no secret
    for value in "ab":
        (tmp_path / value).write_text(value, "utf-8")
    for _ in range(choose.randint(1, 4)):
        happen(world, declared(choose).stack(tmp_path, fails=True), choose.choice(ENDS))
    engine = WithJobs(declared(choose).stack(tmp_path, fails=False), world)
    deploy.up(engine, Recorded(), REMOVED)

    assert [] == [str(step) for step in deploy.plan_up(engine, remove_orphans=True)]
    assert status.status(engine).ready
    wanted = {service.name: service.replicas for service in engine.stack.services}
    assert wanted == {name: len(engine.replicas(name)) for name in wanted}
    assert {*wanted} == {each.service for each in world.replicas.values()}
    lifecycle.down(engine, Recorded())
    assert {} == world.replicas
