"""While releases change: a run is never made from a guess, and never loses its worker unasked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.runs.client import detached, record
from twelfth.errors import IdentityError
from twelfth.runs.source import choose_source

if TYPE_CHECKING:
    from tests.conftest import Project


def test_replicas_of_two_releases_are_named_until_one_is_chosen(project: Project) -> None:
    """A deploy under way: the run refuses to guess."""
    project.up("worker=2")
    first = choose_source(project.engine()).release
    engine = project.engine()
    engine.remove_replica(next(one for one in engine.replicas("worker") if one.number == 2))
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")
    newer = project.engine()
    worker = newer.stack.service("worker")
    assert worker
    newer.ensure_image(worker, lambda _: None)
    newer.create_replica(worker, 2)

    with pytest.raises(IdentityError, match=first):
        choose_source(project.engine())
    assert first == choose_source(project.engine(), first).release


def test_replicas_of_one_release_that_are_not_alike_are_named(project: Project) -> None:
    """An `up` that was not finished after a change of the configuration; no value is shown, no release chooses."""
    project.up("worker=2")
    release = choose_source(project.engine()).release
    newer = replace(project, environment=project.environment | {"REDIS_URL": "redis://hush:1"}).engine()
    worker = newer.stack.service("worker")
    assert worker
    newer.remove_replica(next(one for one in newer.replicas("worker") if one.number == 2))
    newer.create_replica(worker, 2)

    for chosen in ("", release):
        with pytest.raises(IdentityError) as refused:
            choose_source(project.engine(), chosen)
        assert "worker-1 and worker-2 differ in environment.REDIS_URL; finish it: invoke up" == str(refused.value)


def test_run_of_a_built_release_needs_no_worker(project: Project) -> None:
    """A restore or a migration before the first `up`."""
    name = project.invoke("build").stdout.split()[-1]
    if project.engine_name == "docker":
        for network in project.engine().stack.networks:
            project.engine().create_resource(network)

    assert 125 == project.invoke("run", "--", "true").returncode
    done = project.invoke("run", "--release", name, "--", "python", "-c", "import service; print('here')")
    assert "here\n" == done.stdout


def test_up_does_not_replace_a_worker_under_a_run_unless_forced(project: Project) -> None:
    """The run is named; `down` ends it first."""
    project.up()
    identity = detached(project, "--", "sleep", "60")
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")

    assert identity in project.invoke("up").stderr
    assert 0 == project.invoke("up", "--force").returncode
    assert f"end run {identity}: down" in project.invoke("down").stdout
    assert "stopped" == record(project, identity)["state"]
