"""What only a current engine (API 1.44) does on a Swarm: `no-new-privileges`, and a fast healthcheck at the start."""

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
    with on_swarm(tmp_path_factory.mktemp("modern"), nodes=1, root=modern.root()) as made:
        refused = made.project.invoke("up")
        assert (2, False) == (refused.returncode, "privileges" in refused.stderr), refused.stderr
        accepted = made.project.invoke("up", "--accept-weaker")
        assert 0 == accepted.returncode, accepted.stderr
        yield made


def test_services_and_runs_gain_no_privileges(serving: OnSwarm) -> None:
    """As the Compose file declares; the processes themselves are asked."""
    name = f"{serving.project.name}_worker"
    with contextlib.closing(serving.swarm.nodes[0].api()) as api:
        task = next(each for each in api.tasks({"service": name}) if each["Status"]["State"] == "running")
        container = task["Status"]["ContainerStatus"]["ContainerID"]
        asked = api.exec_create(container, ["sh", "-c", PRIVILEGES])
        of_service = api.exec_start(asked["Id"]).decode()

    assert "NoNewPrivs:\t1\n" == of_service
    assert of_service == serving.project.invoke("run", "--", "sh", "-c", PRIVILEGES).stdout


def test_a_second_up_changes_nothing(serving: OnSwarm) -> None:
    """What this version of the API adds to a service is no difference."""
    planned = serving.project.invoke("--dry", "up", "--accept-weaker")

    assert (0, "nothing to do") == (planned.returncode, planned.stdout.strip()), planned.stderr
