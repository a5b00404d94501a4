"""A service that publishes its port itself, deployed under load: a bad release costs no request."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require
from tests.other_project import OtherProject

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
    deploy: {update_config: {monitor: 1s}}
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


@contextlib.contextmanager
def load(port: int) -> Iterator[list[bool]]:
    """Send requests inside the block, and note of each whether it was answered."""
    answers, is_over = list[bool](), threading.Event()

    def send() -> None:
        while not is_over.is_set():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=2) as answer:
                    answers.append(answer.status == 200)
            except OSError:
                answers.append(False)
            time.sleep(0.02)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield answers
    finally:
        is_over.set()
        sender.join()


def test_bad_release_costs_no_request_and_a_good_one_only_its_stop_and_start(site: OtherProject) -> None:
    """The candidate finds the error while the old replica answers; its container is removed."""
    with load(site.port) as answers:
        bad = site.twelfth("up", COMMAND="python -c 'raise ImportError'")
    assert 125 == bad.returncode, bad.stdout + bad.stderr
    assert "web-1 is still running" in bad.stderr
    assert answers
    assert all(answers)

    with load(site.port) as answers:
        good = site.twelfth("up", COMMAND="python -u -m http.server")
    assert 0 == good.returncode, good.stdout + good.stderr
    assert "s without answers (measured on the candidate)" in good.stdout + good.stderr
    assert answers[0]
    assert answers[-1]
    containers = site.api.containers(all=True, filters={"label": f"com.docker.compose.project={site.name}"})
    assert [f"/{site.name}-web-1"] == [name for container in containers for name in container["Names"]]
