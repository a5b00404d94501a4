"""The limits of a healthcheck, and when a replica without one is ready, on every engine."""

from __future__ import annotations

import contextlib
import math
import secrets
import time
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import EVERY, ON_THIS_MACHINE, Recorded, engine_at_hand, eventually
from tests.engines.test_contract import COMPOSE, Site, declared, make_site
from twelfth.engines import healthcheck
from twelfth.engines.healthcheck import KEPT
from twelfth.errors import EngineError
from twelfth.model.service import Healthcheck, Local
from twelfth.model.snapshot import Health, Replica
from twelfth.stack import deploy, status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twelfth.model.stack import Stack

__all__ = ["COMPOSE", "declared"]

LATE = 4.0
"""Seconds by which an engine may be late on a busy machine."""

FLOOD = 40_000_000
"""Bytes that a check prints."""

MEMORY = 8_000_000
"""Bytes of memory that reading them may take."""


@pytest.fixture(params=ON_THIS_MACHINE)
def near(request: pytest.FixtureRequest, declared: Stack, tmp_path: Path) -> Iterator[Site]:
    """Return the project on each engine of this machine: a Swarm runs checks as docker does."""
    made = make_site(request.param, declared, tmp_path)
    yield made
    made.remove()


@pytest.fixture(params=EVERY)
def site(request: pytest.FixtureRequest, declared: Stack, tmp_path: Path) -> Iterator[Site]:
    """Return the project, of which nothing exists yet, on each real engine."""
    with engine_at_hand(request) as name:
        made = make_site(name, declared, tmp_path)
        yield made
        made.remove()


@dataclass(frozen=True)
class Check:
    """A healthcheck that passes for a moment, so that its replica gets ready, and runs `script` from then on."""

    script: str

    def of(self, site: Site, timeout: float) -> Site:
        """Declare the check, and bring the replica up."""
        began = site.stack.directory / "began"  # on local; in a container the directory does not exist
        place = str(began) if site.engine_name == "local" else "/tmp/began"
        moment = 2.0 if site.engine_name == "swarm" else 0.2
        words = ("sh", "-c", f"[ -e {place} ] || exit 0; {self.script}")
        command = ("sh", "-c", f"sleep {moment}; touch {place}; exec sleep 600")
        check = Healthcheck(("CMD", *words), interval=60.0, timeout=timeout, retries=1000)
        app = replace(site.app, command=command, healthcheck=check, local=Local(command, healthcheck=words))
        site.stack = replace(site.stack, services=(app,))
        site.create()
        time.sleep(moment + 0.5)
        return site


def timed(ask: Callable[[], Health]) -> tuple[Health, float]:
    """Return the result of a check, and its duration in seconds."""
    began = time.monotonic()
    return ask(), time.monotonic() - began


def processes(word: str) -> list[str]:
    """Return the processes of this machine with a word on their command line; those of containers are among them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word in path.read_bytes().decode(errors="replace").split("\0"):
                found.append(path.parent.name)
    return found


def test_check_that_hangs_fails_in_time_and_leaves_nothing(site: Site) -> None:
    """It fails after its timeout, or sooner if the caller has less time; none of its processes is left."""
    word = f"{secrets.randbelow(10**6) + 10**6}"
    made = Check(f"sleep {word} & wait").of(site, timeout=1.5)
    engine, replica = made.engine(), made.replica()

    health, took = timed(lambda: engine.check_health(replica))
    assert (False, "did not finish in 1.5 s") == (health.is_ready, health.output[-23:])
    assert 1.5 <= took < 1.5 + LATE
    health, took = timed(lambda: engine.check_health(replica, 0.3))
    assert (False, "did not finish in 0.3 s") == (health.is_ready, health.output[-23:])
    assert took < 0.3 + LATE
    if site.engine_name != "swarm":  # whose own checks continue
        assert eventually(lambda: not processes(word))


def test_check_that_never_stops_printing_fails_in_time(near: Site) -> None:
    """Empty output counts, too."""
    made = Check("yes").of(near, timeout=1.0)
    health, took = timed(lambda: made.engine().check_health(made.replica()))

    assert not health.is_ready
    assert took < 1.0 + LATE


@pytest.mark.thorough
def test_only_the_end_of_what_a_check_prints_is_kept(near: Site) -> None:
    """The end shows why it fails."""
    made = Check(f"head -c {FLOOD} /dev/zero | tr '\\0' x; echo; echo no luck; exit 1").of(near, timeout=60.0)
    engine, replica = made.engine(), made.replica()
    tracemalloc.start()
    health = engine.check_health(replica)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (False, "no luck") == (health.is_ready, health.reason)
    assert len(health.output) <= KEPT
    assert most < MEMORY


@pytest.mark.thorough
def test_up_gives_up_in_time_on_a_check_that_hangs(near: Site) -> None:
    """It does not wait for the check's timeout, by default half a minute."""
    check = ("sh", "-c", "sleep 600")
    app = replace(near.app, healthcheck=Healthcheck(("CMD", *check)))
    near.stack = replace(near.stack, services=(replace(app, local=Local(app.command or (), healthcheck=check)),))
    began, options = time.monotonic(), deploy.UpOptions(ready_within=2.0)
    with pytest.raises(EngineError, match=r"not ready after 2 s"):
        deploy.up(near.engine(), Recorded(), options)

    assert time.monotonic() - began < 2.0 + 2 * LATE


def test_replica_without_a_check_is_ready_when_it_has_run_for_a_while(site: Site) -> None:
    """`up` waits for that, and `status` shows the same; a replica that exits before is never ready."""
    site.stack = replace(site.stack, services=(replace(site.app, monitor=1.5),))
    began = time.monotonic()
    site.create()
    early = status.status(site.engine())
    deploy.up(site.engine(), Recorded())

    assert (False, True) == (early.ready, early.why.endswith(" of 1.5 s"))
    assert 1.5 <= time.monotonic() - began
    assert status.status(site.engine()).ready


@pytest.mark.thorough
def test_up_and_status_agree_on_a_replica_that_exits_after_it_started(near: Site) -> None:
    """It has no healthcheck, and is restarted again and again."""
    command = ("sh", "-c", "sleep 1.8; echo out of luck; exit 3")
    app = replace(near.app, command=command, local=Local(command), restart="always", monitor=3.0)
    near.stack = replace(near.stack, services=(app,))

    with pytest.raises(EngineError, match="out of luck"):
        deploy.up(near.engine(), Recorded(), deploy.UpOptions(ready_within=10.0))
    assert not status.status(near.engine()).ready


WORKER = Replica("worker", 1, "id", "running", {})


@pytest.mark.parametrize(
    ("replica", "seconds", "expected"),
    [
        (WORKER, 5.0, (True, "", False)),
        (WORKER, 1.84, (False, "it has run for 1.8 of 5 s", False)),
        (replace(WORKER, restarts=1), 6.0, (True, "", False)),
        (replace(WORKER, restarts=2), 6.0, (False, "", True)),
        (replace(WORKER, restarts=2), 10.0, (True, "", False)),
        (replace(WORKER, state="restarting", restarts=2), 0.0, (False, "restarting", True)),
        (replace(WORKER, state="restarting", restarts=1), 0.0, (False, "restarting", False)),
        (replace(WORKER, state="exited (1)", restarts=3), 0.0, (False, "exited (1)", False)),
    ],
)
def test_process_decides_without_a_check(replica: Replica, seconds: float, expected: tuple[bool, str, bool]) -> None:
    """One that was restarted twice, and again less than ten seconds ago, is in a crash loop."""
    found = healthcheck.of_process(replica, lambda: seconds, 5.0)

    assert expected == (found.is_ready, found.output, found.is_crashing)


def test_check_of_a_steady_replica_is_run() -> None:
    """The engine does not inspect its process, which would be another request."""
    assert None is healthcheck.of_unsteady(WORKER, lambda: math.nan)
