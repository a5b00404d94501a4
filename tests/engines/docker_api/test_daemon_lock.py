"""The lock of a stack on a daemon whose container is not running."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
from docker.errors import APIError, NotFound

from twelfth.engines.docker_api import daemon_lock
from twelfth.engines.docker_api.daemon_lock import CREATION, LOCK, DaemonLock
from twelfth.engines.docker_api.errors import CONFLICT
from twelfth.engines.state import Holder
from twelfth.errors import BusyError

if TYPE_CHECKING:
    import docker

NOW = datetime(2030, 1, 1, tzinfo=UTC)
"""The daemon's time, which need not be that of the client."""


@dataclass
class Daemon:
    """A daemon with the lock's container of another client, unless it is removed."""

    status: str = "created"
    age: float = 0.0
    is_removed: bool = False
    is_started: bool = False
    has_rival: bool = False

    def inspect_image(self, _: str) -> dict[str, Any]:
        """Return the image of the lock's container."""
        return {}

    def info(self) -> dict[str, str]:
        """Return the daemon's time."""
        return {"SystemTime": NOW.isoformat()}

    def inspect_container(self, _: str) -> dict[str, Any]:
        """Return the container of the other client."""
        holder = Holder("ann", "laptop", "deploying", NOW.isoformat())
        return {
            "Id": "other",
            "Created": (NOW - timedelta(seconds=self.age)).isoformat(),
            "State": {"Status": self.status},
            "Config": {"Labels": {LOCK: holder.to_json()}},
        }

    def remove_container(self, container: str) -> None:
        """Remove the container of the other client."""
        assert container == "other"
        self.is_removed = True

    def create_container_from_config(self, *_: object) -> dict[str, str]:
        """Create the container of this client; the name is taken until the other one is removed."""
        if not self.is_removed:
            response = requests.Response()
            response.status_code = CONFLICT
            raise APIError("the name is in use", response)
        return {"Id": "this"}

    def attach_socket(self, *_: object, **__: object) -> socket.socket:
        """Return the input of this client's container."""
        if self.has_rival:
            raise NotFound("No such container")
        return socket.socket()

    def start(self, _: str) -> None:
        """Start this client's container."""
        self.is_started = True


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_lock, "WITHIN", 0.0)


def take(daemon: Daemon) -> None:
    """Take the lock and release it."""
    with DaemonLock(cast("docker.APIClient", daemon), "p").hold("scaling"):
        assert daemon.is_started


@pytest.mark.parametrize("daemon", [Daemon(), Daemon(age=CREATION - 1), Daemon("running", CREATION + 1)])
def test_slow_client_keeps_the_lock(daemon: Daemon) -> None:
    """It has created the container and is about to start it."""
    with pytest.raises(BusyError, match="locked by ann on laptop"):
        take(daemon)

    assert not daemon.is_removed


@pytest.mark.parametrize("daemon", [Daemon(age=CREATION + 1), Daemon("exited"), Daemon("dead")])
def test_lock_of_a_killed_client_is_free(daemon: Daemon) -> None:
    """A container that no client started for long, or that the daemon could not remove when it exited."""
    take(daemon)

    assert daemon.is_removed


def test_client_that_was_too_slow_reports_the_other_one() -> None:
    """Which has removed its container and holds the lock."""
    with pytest.raises(BusyError, match="locked by ann on laptop"):
        take(Daemon(is_removed=True, has_rival=True))
