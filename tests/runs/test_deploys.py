"""While releases change: a run is never made from a guess, and never loses its worker unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
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


def test_run_goes_on_while_its_release_is_replaced(project: Project) -> None:
    """On what it began with, to its end; a run that starts then is of the new release."""
    project.up()
    identity = detached(project, "--", "sh", "-c", "sleep 6; grep -c 'another release' service/app.py")
    app = project.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")
    project.up()

    assert "1\n" == project.invoke("run", "--", "grep", "-c", "another release", "service/app.py").stdout
    assert eventually(lambda: record(project, identity)["state"] != "running")
    assert "0\n" == project.invoke("logs", "--run", identity).stdout


@pytest.mark.parametrize("engine_name", ["local"], indirect=True)  # the decision is no engine's
def test_down_ends_a_run(project: Project) -> None:
    """And says so."""
    project.up()
    identity = detached(project, "--", "sleep", "60")

    assert f"end run {identity}: down" in project.invoke("down").stdout
    assert "stopped" == record(project, identity)["state"]
