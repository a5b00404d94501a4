"""Runs during deploys: their release is never a guess, and a deploy does not stop them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.runs.client import detached, record

if TYPE_CHECKING:
    from tests.conftest import Project

pytestmark = pytest.mark.sampled_on("docker")


@pytest.mark.thorough
def test_run_of_a_built_release_needs_no_worker(project: Project) -> None:
    """A restore or a migration before the first `up`."""
    name = project.invoke("build").stdout.split()[-1]
    if project.engine_name == "docker":
        for network in project.engine().stack.networks:
            project.engine().create_resource(network)

    assert 125 == project.invoke("run", "--", "true").returncode
    done = project.invoke("run", "--release", name, "--", "python", "-c", "import service; print('here')")
    assert "here\n" == done.stdout


@pytest.mark.thorough
@pytest.mark.sampled_on("local")
def test_run_goes_on_while_its_release_is_replaced(project: Project) -> None:
    """It finishes on its release; a run that starts after the deploy has the new one."""
    project.up()
    identity = detached(project, "--", "sh", "-c", "sleep 6; grep -c 'another release' service/app.py")
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")
    project.up()

    assert "1\n" == project.invoke("run", "--", "grep", "-c", "another release", "service/app.py").stdout
    assert eventually(lambda: record(project, identity)["state"] != "running")
    assert "0\n" == project.invoke("logs", "--run", identity).stdout


@pytest.mark.thorough
@pytest.mark.parametrize("engine_name", ["local"], indirect=True)  # the decision is no engine's
def test_down_ends_a_run(project: Project) -> None:
    """The output of `down` names it."""
    project.up()
    identity = detached(project, "--", "sleep", "60")

    assert f"Stop run {identity} (down)" in project.invoke("down").stdout
    assert "stopped" == record(project, identity)["state"]


@pytest.mark.thorough
@pytest.mark.parametrize("engine_name", ["local"], indirect=True)  # the decision is no engine's
def test_run_waits_for_a_deploy_that_is_under_way(project: Project) -> None:
    """A cron job does not fail because two releases run for a moment; without a deploy the error names them."""
    project.up()
    engine = project.engine()
    worker = engine.stack.service("worker")
    assert worker
    other = replace(worker, environment=(("LEVEL", "debug"),))
    engine.admit_replica(engine.create_replica(other, 2))
    assert "worker-1 and worker-2 differ" in project.invoke("run", "--", "true").stderr

    with engine.state.lock("deploying"):
        client = project.start("run", "--", "echo", "done", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert client.stderr
        assert client.stderr.readline().startswith(b"twelfth: waiting for ")
        engine.remove_replica(engine.replicas("worker")[1])
        assert (b"done\n", b"") == client.communicate(timeout=60)


@pytest.mark.thorough
@pytest.mark.parametrize("engine_name", ["local"], indirect=True)  # the decision is no engine's
def test_release_that_is_not_here_is_waited_for_during_a_deploy(project: Project) -> None:
    """It may be being built; after the deploy it is an invalid argument."""
    with project.engine().state.lock("deploying"):
        words = ("run", "--release", "0123456789ab", "--", "true")
        client = project.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert client.stderr
        assert client.stderr.readline().startswith(b"twelfth: waiting for ")
    _, said = client.communicate(timeout=60)

    assert 2 == client.returncode
    assert b"twelfth: release 0123456789ab does not exist; see: invoke releases\n" == said


@pytest.mark.parametrize("engine_name", ["local"], indirect=True)
def test_where_no_worker_runs_the_last_release_is_named(project: Project) -> None:
    """The operator may want it for the run."""
    project.up()
    engine = project.engine()
    (worker,) = engine.replicas("worker")
    engine.remove_replica(worker)

    said = project.invoke("run", "--", "true").stderr
    assert f"no worker is running; the last release was {worker.release}, of 2" in said
