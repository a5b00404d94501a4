"""Which service, release and replica a run is made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory_engine import Memory, World
from twelfth.engines.local.engine import Local
from twelfth.errors import MisuseError, NotUpError, NoWorkerError
from twelfth.model.job import Changes, Job
from twelfth.model.service import SERVICE_COMPLETED, Build, Service
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Stack
from twelfth.runs.job_images import FixedImage, fix
from twelfth.runs.source import choose_source, from_release, source_of_job

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
    with pytest.raises(MisuseError, match="cannot use release 0123456789ab: redis has no releases"):
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


DUMP = Job("dump", Changes(Service("dump", "postgres:16"), frozenset({"image", "command"})))


def test_job_of_a_service_runs_from_its_replica() -> None:
    """Of a job without an image, the service may be any that runs can be made from."""
    engine = up(replace(TWO_BUILT, runs_from="worker"))

    assert "web" == source_of_job(engine, replace(DUMP, service="web")).service
    assert "worker" == source_of_job(engine, replace(DUMP, changes=Changes(Service("dump", "")))).service


def test_job_with_a_separate_image_runs_from_the_image_that_up_has_fixed() -> None:
    """Even if its tag has moved."""
    engine = up(TWO_BUILT)
    fix(engine.state, {"dump": FixedImage("postgres:15", "sha256:1"), "other": FixedImage("postgres:16", "sha256:2")})

    source = source_of_job(engine, DUMP)

    assert ("dump", "sha256:1", "") == (source.service, source.image, source.release)


def test_job_with_a_separate_image_is_refused_until_its_image_is_fixed() -> None:
    """A damaged record counts as none. No release has such an image, and the local engine none at all."""
    engine = up(TWO_BUILT)
    engine.state.write({"stack/job-dump": b"{"})

    with pytest.raises(NotUpError, match=r"^cannot run dump: its image is not fixed yet\. Try: invoke up$"):
        source_of_job(engine, DUMP)
    with pytest.raises(MisuseError, match=r"^cannot run dump from release 0123456789ab: it has a separate image"):
        source_of_job(engine, DUMP, "0123456789ab")
    with pytest.raises(MisuseError, match=r"its image is postgres:16, and local runs no images\. Try: add"):
        source_of_job(Local(TWO_BUILT), DUMP)
