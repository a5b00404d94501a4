"""While releases change: a run is never made from a guess, and never loses its worker unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runs.client import detached, record

if TYPE_CHECKING:
    from tests.conftest import Project


def test_run_of_a_built_release_needs_no_worker(project: Project) -> None:
    """A restore or a migration before the first `up`."""
    name = project.invoke("build").stdout.split()[-1]
    if project.engine_name == "docker":
        for network in project.engine().stack.networks:
            project.engine().create_resource(network)

    assert 125 == project.invoke("run", "--", "true").returncode
    done = project.invoke("run", "--release", name, "--", "python", "-c", "import service; print('here')")
    assert "here\n" == done.stdout


@pytest.mark.parametrize("engine_name", ["local"], indirect=True)  # the decision is no engine's
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
