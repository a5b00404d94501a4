"""Swarm features of a current engine (API 1.44): `no-new-privileges`, and a fast healthcheck at the start."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests import modern
from tests.conftest import skip_or_fail
from tests.sample import MODERN
from tests.swarm.conftest import OnSwarm, on_swarm

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.thorough

PRIVILEGES = "grep NoNewPrivs /proc/self/status"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSwarm]:
    """Return the project, up on a Swarm of one modern node."""
    if why := modern.why_unavailable():
        skip_or_fail(MODERN, why)
    with on_swarm(tmp_path_factory.mktemp("modern"), nodes=1, root=modern.root()) as on:
        refused = on.project.invoke("up")
        assert (2, False) == (refused.returncode, "privileges" in refused.stderr), refused.stderr
        accepted = on.project.invoke("up", "--accept-weaker")
        assert 0 == accepted.returncode, accepted.stderr
        yield on


def test_services_and_runs_gain_no_privileges(serving: OnSwarm) -> None:
    """The Compose file declares it; the processes report it."""
    name = f"{serving.project.name}_worker"
    with contextlib.closing(serving.swarm.nodes[0].api()) as api:
        task = next(task for task in api.tasks({"service": name}) if task["Status"]["State"] == "running")
        container = task["Status"]["ContainerStatus"]["ContainerID"]
        check = api.exec_create(container, ["sh", "-c", PRIVILEGES])
        service_output = api.exec_start(check["Id"]).decode()

    assert "NoNewPrivs:\t1\n" == service_output
    assert service_output == serving.project.invoke("run", "--", "sh", "-c", PRIVILEGES).stdout


def test_a_second_up_changes_nothing(serving: OnSwarm) -> None:
    """Settings that this version of the API adds to a service are no difference."""
    planned = serving.project.invoke("--dry", "up", "--accept-weaker")

    assert (0, "nothing to do") == (planned.returncode, planned.stdout.strip()), planned.stderr
