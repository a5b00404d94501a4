"""A project without anything of twelfth: a Compose file in a directory, where `twelfth` runs as for a user."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from twelfth.engines import tcp
from twelfth.engines.docker_api import client

if TYPE_CHECKING:
    import docker

POSTGRES = "twelfth-base/postgres:17-debian"
"""PostgreSQL of Debian's packages, which stands in for the official image (tests/projects/postgres)."""


class OtherProject:
    """A directory with a unique project name and a free port; the Compose file has the port as `PORT`."""

    timeout: float | None = 120.0
    """Seconds that a command may take."""

    def __init__(self, directory: Path, **environment: str) -> None:
        """Take the directory, and what else its variables are; nothing runs yet."""
        self.directory, self.name, self.port = directory, f"t{secrets.token_hex(4)}", tcp.free("127.0.0.1")
        self.api: docker.APIClient = client.connect()
        own = {"COMPOSE_PROJECT_NAME": self.name, "PORT": str(self.port), "PYTHONPATH": str(ROOT)} | environment
        self.environment = {name: value for name, value in os.environ.items() if name != "INVOKE_ENGINE"} | own

    def twelfth(self, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the console script there."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "twelfth", *words],
            cwd=self.directory,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
        )

    def printed(self, *words: str, stdin: str = "", **environment: str) -> str:
        """Return the output of a command that succeeded."""
        done = self.twelfth(*words, stdin=stdin, **environment)
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout


def build_postgres(api: docker.APIClient) -> None:
    """Build the image `POSTGRES`; parts that exist are not built again."""
    events = api.build(
        path=str(Path(__file__).parent / "projects" / "postgres"),
        tag=POSTGRES,
        buildargs={"DEBIAN_IMAGE": os.environ.get("PYTHON_IMAGE", "python:3.13-slim")},
        rm=True,
        decode=True,
    )
    assert not [event["error"] for event in events if "error" in event]
