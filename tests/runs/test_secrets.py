"""Secrets that are variables: their user reads them, other users of the machine do not, and an unset one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import require
from tests.other_project import OtherProject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMPOSE_FILE = """
services:
  app:
    image: ${PYTHON_IMAGE:-python:3.13-slim}
    command: sh -c "cat /run/secrets/* /note && echo && exec sleep 600"
    user: "10001:10001"
    init: true
    deploy: {update_config: {monitor: 200ms}}
    stop_grace_period: 1s
    secrets: [open, {source: closed, uid: "10001", gid: "10001", mode: 0400}]
    configs: [note]
secrets: {open: {environment: OPEN}, closed: {environment: CLOSED}}
configs: {note: {content: "a note,"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[OtherProject]:
    """Return the project; remove what it made."""
    require("docker")
    (tmp_path / "compose.yaml").write_text(COMPOSE_FILE, "utf-8")
    made = OtherProject(tmp_path, OPEN="", CLOSED="hush,")
    yield made
    made.printed("down", "--history", "--yes")


def test_secret_is_read_by_its_user_alone(project: OtherProject) -> None:
    """In the service, in a run, and by no other user of this machine."""
    project.printed("up")
    show = "cat /run/secrets/* /note; stat -c ' %a %u' /run/secrets/* /note"

    assert "hush,a note, 400 10001\n 444 0\n 444 0\n" == project.printed("run", "--", "sh", "-c", show)
    assert "hush,a note," in project.printed("logs", "app")
    _, directory = project.api.get_archive(f"twelfth-state-{project.name}", "/state/files")
    assert 0o700 == directory["mode"] & 0o777


@pytest.mark.thorough
def test_unset_variable_is_refused_before_anything_is_made(project: OtherProject) -> None:
    """The error has both names; a running service keeps its secret, and runs inherit it."""
    del project.environment["CLOSED"]
    refused = project.twelfth("up")
    assert (2, "") == (refused.returncode, refused.stdout)
    assert "services.app.secrets[1] is closed, whose variable CLOSED is not set" in refused.stderr
    assert [] == project.api.containers(all=True, filters={"name": project.name})

    project.printed("up", CLOSED="hush,")
    assert "hush," == project.printed("run", "--", "cat", "/run/secrets/closed")
    assert 2 == project.twelfth("up").returncode
