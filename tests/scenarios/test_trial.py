"""A service that publishes its port itself, deployed under load: a bad release costs no request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import require
from tests.other_project import OtherProject
from tests.typical.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = """
services:
  web:
    image: ${PYTHON_IMAGE:-python:3.13-slim}
    command: ${COMMAND:-python -m http.server}
    init: true
    ports: ["127.0.0.1:${PORT}:8000"]
    networks: [front, back]
    deploy: {update_config: {monitor: 1s}}
  after:
    image: ${PYTHON_IMAGE:-python:3.13-slim}
    command: sleep 600
    init: true
    depends_on: [web]
    networks: [back]
    deploy: {update_config: {monitor: 100ms}}
networks: {front: {}, back: {}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OtherProject]:
    """Return the project, up."""
    require("docker")
    site = OtherProject(tmp_path)
    (tmp_path / "compose.yaml").write_text(FILE)
    try:
        site.printed("up")
        yield site
    finally:
        site.printed("down", "--volumes", "--history", "--yes")


def test_bad_release_costs_no_request_and_a_good_one_only_its_stop_and_start(site: OtherProject) -> None:
    """The candidate finds the error while the old replica answers; its container is removed.

    It is on all networks of its service, also on those of services that depend on it.
    """
    with load(site.port) as clients:
        bad = site.twelfth("up", COMMAND="python -c 'raise ImportError'")
    assert 125 == bad.returncode, bad.stdout + bad.stderr
    assert "web-1 is still running" in bad.stderr
    assert clients.answered
    assert not clients.failed, clients.failures

    with load(site.port) as clients:
        good = site.twelfth("up", COMMAND="sh -c 'getent hosts after && exec python -u -m http.server'")
    assert 0 == good.returncode, good.stdout + good.stderr
    assert "s without answers (measured on the candidate)" in good.stdout + good.stderr
    assert clients.answered > clients.failed
    containers = site.api.containers(all=True, filters={"label": f"com.docker.compose.project={site.name}"})
    names = {name for container in containers for name in container["Names"]}
    assert {f"/{site.name}-web-1", f"/{site.name}-after-1"} == names
