"""The records of runs outlive the containers, whatever removes those."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DOCKER_COMPOSE, require, require_program
from tests.other_project import OtherProject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPOSE = """
services:
  app:
    image: ${REDIS_IMAGE}
    command: ["sh", "-c", "exec sleep 600"]
    init: true
    volumes: ["data:/data"]
    deploy: {update_config: {monitor: 100ms}}
volumes:
  data: {}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[OtherProject]:
    """Return a project that is up; its service has a volume."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    made = OtherProject(tmp_path)
    made.printed("up")
    yield made
    made.twelfth("down", "--volumes", "--history", "--yes")


def records(stack: OtherProject) -> dict[str, tuple[Any, ...]]:
    """Return the kind, state and exit code of each record, by id."""
    found = json.loads(stack.printed("history", "--json"))
    return {record["id"]: (record["kind"], record["state"], record["exit_code"]) for record in found}


def prune_containers(stack: OtherProject) -> None:
    """Prune this project's containers, and that of its state, as `docker container prune` does."""
    for label in (f"com.docker.compose.project={stack.name}", f"twelfth.state={stack.name}"):
        stack.api.prune_containers({"label": label})


@pytest.mark.thorough
def test_records_outlive_prunes_orphans_and_down(stack: OtherProject) -> None:
    """Also the end of a detached run that a command has shown; one that no command saw is unknown."""
    assert 3 == stack.twelfth("run", "--", "sh", "-c", "exit 3").returncode
    shown = stack.printed("run", "--detach", "--", "sh", "-c", "exit 4").strip()
    stack.api.wait(f"{stack.name}-run-{shown}")
    before = records(stack)
    assert [("up", "done", None), ("run", "failed", 3), ("run", "failed", 4)] == [*before.values()]
    (failed, _) = [name for name, record in before.items() if record[0] == "run"]
    prune_containers(stack)
    assert before == records(stack)
    gone = stack.twelfth("logs", "--run", failed)
    assert 125 == gone.returncode
    assert f"the output of run {failed} was removed" in gone.stderr

    stack.printed("run", "--", "true")
    before = records(stack)
    words = [str(DOCKER_COMPOSE), "up", "-d", "--remove-orphans"]
    subprocess.run(words, cwd=stack.directory, env=stack.environment, capture_output=True, check=True)
    assert before == records(stack)

    stack.printed("run", "--", "true")  # its container mounts the volume
    before = records(stack)
    stack.printed("down", "--volumes")
    after = records(stack)
    assert before == {name: record for name, record in after.items() if name in before}
    assert [("down", "done", None)] == [record for name, record in after.items() if name not in before]
    assert f"{stack.name}_data" not in {volume["Name"] for volume in stack.api.volumes()["Volumes"]}
    assert 2 == stack.twelfth("down", "--history").returncode
    assert "nothing is recorded" not in stack.printed("history")
    stack.printed("down", "--history", "--yes")
    assert "nothing is recorded" in stack.printed("history")
