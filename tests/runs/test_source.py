"""Which service, release and replica a run is made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory_engine import Memory, World
from twelfth.errors import MisuseError, NoWorkerError
from twelfth.model.snapshot import Replica
from twelfth.model.stack import SERVICE_COMPLETED, Build, Service, Stack
from twelfth.runs.source import choose_source, from_release

REDIS = Service("redis", "redis:8")
WEB = Service("web", "shop-web:0123456789ab", build=Build(Path("/web")))
WORKER = Service("worker", "shop-worker:0123456789ab", build=Build(Path("/worker")))
MIGRATE = Service("migrate", "shop-web:0123456789ab", build=Build(Path("/web")), depends_on=("redis",))
AFTER = Service("after", "busybox", conditions=(("migrate", SERVICE_COMPLETED), ("after", SERVICE_COMPLETED)))
WITH_JOB = Stack(
    "shop",
    Path(),
    (MIGRATE, replace(WEB, build=None, conditions=(("migrate", SERVICE_COMPLETED),)), REDIS),
)
TWO_BUILT = Stack("shop", Path(), (REDIS, WEB, WORKER))
QUESTION = (
    "cannot make a run: it could be made from {}. Add --service {}, or to the Compose file x-twelfth: {{runs-from: {}}}"
)

NOTHING = (
    "cannot make a run: a run needs a service that stays up, and the Compose file has {}. Add a service with an image"
)


def up(stack: Stack) -> Memory:
    """Return an engine with one running replica of each service, as Compose creates them: without a release."""
    made = [Replica(each.name, 1, each.name, "running", {}, image=f"sha256:{each.name}") for each in stack.services]
    return Memory(stack, World({each.name: each for each in made}))


@pytest.mark.parametrize(
    ("stack", "service", "expected"),
    [
        (Stack("shop", Path(), (REDIS, WEB)), "", "web"),
        (Stack("shop", Path(), (REDIS,)), "", "redis"),
        (replace(TWO_BUILT, runs_from="worker"), "", "worker"),
        (replace(TWO_BUILT, runs_from="redis"), "", "redis"),
        (replace(TWO_BUILT, runs_from="worker"), "web", "web"),
        (TWO_BUILT, "redis", "redis"),
        (replace(WITH_JOB, services=WITH_JOB.services[:2]), "", "web"),
        (WITH_JOB, "migrate", "migrate"),
    ],
    ids=["built", "only", "x-twelfth", "not built", "named", "named and not built", "no job", "job that runs"],
)
def test_run_is_made_from_the_service_that_is_named_or_else_the_only_one(
    stack: Stack, service: str, expected: str
) -> None:
    """The one of the command line, of the Compose file, the only one that is built, or the only one."""
    assert expected == choose_source(up(stack), service=service).service


@pytest.mark.parametrize(
    ("stack", "service", "message"),
    [
        (TWO_BUILT, "", QUESTION.format("web, worker", "web", "web")),
        (Stack("shop", Path(), (REDIS, replace(REDIS, name="db"))), "", QUESTION.format("redis, db", "redis", "redis")),
        (WITH_JOB, "", QUESTION.format("web, redis", "web", "web")),
        (
            Stack("shop", Path(), (MIGRATE, AFTER)),
            "",
            NOTHING.format("migrate, after"),
        ),
        (
            Stack("shop", Path(), ()),
            "",
            NOTHING.format("none with an image"),
        ),
        (TWO_BUILT, "wrker", "there is no service wrker: the Compose file has redis, web, worker. Try: invoke config"),
    ],
    ids=["two built", "none built", "a job", "jobs alone", "none", "unknown"],
)
def test_service_that_is_not_certain_is_asked_for(stack: Stack, service: str, message: str) -> None:
    """In one line that names the possible services."""
    with pytest.raises(MisuseError) as refused:
        from_release(stack, service=service)

    assert message == str(refused.value)


def test_release_of_a_service_is_of_the_service_that_is_named() -> None:
    """If no replica of it is running; a service that is not built has only its image."""
    stopped = Memory(TWO_BUILT, World())
    source = choose_source(stopped, "0123456789ab", "worker")

    assert ("worker", "0123456789ab", WORKER.image) == (source.service, source.release, source.image)
    assert ("redis", "", "redis:8") == (
        (image := from_release(TWO_BUILT, service="redis")).service,
        image.release,
        image.image,
    )
    with pytest.raises(MisuseError, match="cannot use release 0123456789ab: redis has no build"):
        choose_source(stopped, "0123456789ab", "redis")
    with pytest.raises(NoWorkerError, match="no worker is running"):
        choose_source(stopped, service="worker")


def test_job_that_has_ended_is_no_source_of_runs() -> None:
    """Another `up` would not start it; a release of it can be named."""
    ended = Memory(WITH_JOB, World())

    with pytest.raises(NoWorkerError) as refused:
        choose_source(ended, service="migrate")
    why = "migrate runs to completion and is not running now"
    assert f"cannot make a run: {why}. Try: --service web" == str(refused.value)
    assert "migrate" == choose_source(ended, "0123456789ab", "migrate").service
