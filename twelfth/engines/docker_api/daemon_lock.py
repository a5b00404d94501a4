"""The lock of a stack: a container whose name excludes others, and which exits when its client's connection closes.

Its program (`state_image`) waits for the end of its input, and the daemon closes that with the client's connection. So
the kernel releases the lock of a killed client, and a restart of the daemon ends it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from twelfth.engines.docker_api import client, health, state_image
from twelfth.engines.docker_api.errors import CONFLICT, docker_errors, gone_is_fine
from twelfth.engines.state import holder_of, locked, this_process
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.state import Holder

LOCK = "twelfth.lock"
"""Label of the container: its holder as JSON."""

WITHIN, PAUSE = 1.0, 0.05
"""Seconds for which a lock is tried to get, since the daemon needs a moment to remove a released one; and between."""

CREATION = 10.0
"""Seconds between creating and starting the container after which its client counts as killed."""

KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Settings with which the kernel notices within 30 seconds that a remote daemon is gone."""

LOST = "the lock of the stack was lost (the Docker daemon was restarted, the connection broke, or: invoke unlock)"


class DaemonLock:
    """The lock of one project on a daemon."""

    def __init__(self, api: docker.APIClient, project: str) -> None:
        self.api, self.name = api, f"twelfth-lock-{project}"
        self._connection: _Connection | None = None

    @contextlib.contextmanager
    def hold(self, action: str) -> Iterator[None]:
        """Hold the lock; raises `BusyError` with the holder's name if another process has it."""
        with docker_errors():
            self._connection = self._taken(action)
        try:
            yield
        finally:
            connection, self._connection = self._connection, None
            connection.close()

    def check(self) -> None:
        """Raise `EngineError` if the lock was held and is lost."""
        if self._connection and self._connection.is_closed():
            raise EngineError(f"{LOST}; nothing more was changed. Try: invoke status")

    def holder(self) -> Holder | None:
        """Return the process that has the lock."""
        with docker_errors():
            container = client.inspect_container(self.api, self.name)
        return holder_of(container["Config"]["Labels"].get(LOCK, "")) if container else None

    def remove(self) -> None:
        """Remove the container of the lock, and return when it is gone."""
        deadline = time.monotonic() + WITHIN
        with docker_errors(), gone_is_fine():
            while time.monotonic() < deadline:
                with contextlib.suppress(APIError):  # it is being removed already
                    self.api.remove_container(self.name, force=True)
                self.api.inspect_container(self.name)
                time.sleep(PAUSE)

    def _taken(self, action: str) -> _Connection:
        image, deadline = state_image.ensure(self.api), time.monotonic() + WITHIN
        while True:
            try:
                return self._start(image, action)
            except APIError as error:
                if error.status_code != CONFLICT:
                    raise
                if time.monotonic() > deadline and not self._remove_abandoned():
                    raise locked(self.holder() or holder_of("")) from error
            time.sleep(PAUSE)

    def _start(self, image: str, action: str) -> _Connection:
        body = {
            "Image": image,
            "Cmd": [state_image.WAIT],
            "Labels": {LOCK: this_process(action).to_json()},
            "OpenStdin": True,
            "StdinOnce": True,
            "HostConfig": {
                "AutoRemove": True,
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
            },
        }
        container = self.api.create_container_from_config(body, self.name)["Id"]
        try:
            connection = _Connection(self.api, container)
            self.api.start(container)
        except NotFound as error:  # removed by `unlock`, or by a client that found this one too slow
            raise locked(self.holder() or holder_of("")) from error
        except BaseException:
            with contextlib.suppress(APIError):
                self.api.remove_container(container, force=True)
            raise
        return connection

    def _remove_abandoned(self) -> bool:
        """Remove the container if it is not running; return whether it is gone."""
        container = client.inspect_container(self.api, self.name)
        if container is None:
            return True
        if self._is_abandoned(container):
            with contextlib.suppress(APIError):
                self.api.remove_container(container["Id"])  # without force: it may just be starting
                return True
        return False

    def _is_abandoned(self, container: Body) -> bool:
        """Return whether its client was killed before it started the container, or the daemon while it was running."""
        status = container["State"]["Status"]
        if status == "created":
            return health.seconds_since(self.api, container["Created"]) > CREATION
        return status in {"exited", "dead"}


class _Connection:
    """The attached input of the lock's container, which also ends if the container does."""

    def __init__(self, api: docker.APIClient, container: str) -> None:
        answer = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stream": 1})
        self._answer, self._response = answer, getattr(answer, "_response", answer)
        self.socket: socket.socket = getattr(answer, "_sock", answer)
        if self.socket.family in {socket.AF_INET, socket.AF_INET6}:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE.items():
                if option := getattr(socket, name, None):
                    self.socket.setsockopt(socket.IPPROTO_TCP, option, value)

    def is_closed(self) -> bool:
        """Return whether the container has exited or cannot be reached; it prints nothing, so only an end arrives."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def close(self) -> None:
        """Close the connection: first the response, which reads from the socket; see `AttachedSession.close`."""
        self._response.close()
        self._answer.close()
        self.socket.close()
