"""`exec`, `stop`, `start` and `restart` on a real daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require
from tests.other_project import OtherProject
from twelfth.engines.docker.engine import Docker
from twelfth.stack import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = """
services:
  app:
    image: "${PYTHON_IMAGE:-python:3.13-slim}"
    command: [sleep, "600"]
    init: true
    restart: unless-stopped
    stop_grace_period: 1s
    deploy: {update_config: {monitor: 100ms}}
  client:
    image: "${PYTHON_IMAGE:-python:3.13-slim}"
    command: [sleep, "600"]
    init: true
    stop_grace_period: 1s
    depends_on: [app]
    deploy: {update_config: {monitor: 100ms}}
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[OtherProject]:
    """Return a project that is up."""
    require("docker")
    (tmp_path / "compose.yaml").write_text(FILE)
    other = OtherProject(tmp_path)
    other.printed("up")
    yield other
    other.printed("down", "--volumes", "--history", "--yes")


def execute(other: OtherProject, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Execute a command in the service, with bytes as its streams."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "twelfth", "exec", "app", *words],
        cwd=other.directory,
        env=other.environment,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_command_in_a_service_that_is_stopped_and_started(other: OtherProject) -> None:
    """Bytes and exit codes are exact; a stopped service keeps its container, which is not ready meanwhile."""
    data = os.urandom(300_000)
    copied = execute(other, "sh", "-c", "cat; echo error >&2; exit 3", stdin=data)
    assert (3, data, b"error\n") == (copied.returncode, copied.stdout, copied.stderr)
    before = other.printed("ps", "-q")

    assert "service app stopped" in other.printed("stop", "app")
    assert 1 == other.twelfth("status").returncode
    assert 0 != execute(other, "true").returncode
    assert "Start app-1" in other.printed("--dry", "up")
    other.printed("start", "app")
    assert before == other.printed("ps", "-q")
    assert 0 == other.twelfth("status").returncode


def test_withdrawn_replica_has_no_name_until_it_is_admitted(other: OtherProject) -> None:
    """Then clients find it again; here its only network is that of its clients."""
    engine = Docker(load.load_stack(other.directory, other.environment))
    [replica] = engine.replicas("app")
    assert replica.is_admitted
    engine.stop_replica(replica)

    engine.withdraw_replica(replica)
    engine.start_replica(replica)
    started = engine.current(replica)
    assert (True, False) == (started.is_running, started.is_admitted)

    engine.admit_replica(replica)
    assert engine.current(replica).is_admitted
