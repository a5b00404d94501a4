"""Attach to a run's container before it is started, so that none of its output is lost."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines import end_of_input
from twelfth.engines.docker_api.attached_session import AttachedSession
from twelfth.engines.docker_api.client import inspect_container
from twelfth.engines.docker_api.errors import docker_errors
from twelfth.engines.docker_api.run_record import exit_code

if TYPE_CHECKING:
    import docker

LOST = "the connection to the run broke ({}); it may still be running, see: invoke history"

NEVER_TYPED = b"\xff,\xff"
"""Keys at which the daemon would detach the client; its default, Ctrl-P Ctrl-Q, is detected on this side instead.

No key sends this byte, which UTF-8 does not have. The daemon would also delay a Ctrl-P until the next key.
"""

RECORDED_WITHIN = 10
"""Seconds from the end of a run's streams to its exit code.

A run without an exit code by then is still running: its first process, Docker's init, keeps the streams open until it
exits.
"""


class DockerSession(AttachedSession):
    """The attached streams of one container."""

    def __init__(
        self, api: docker.APIClient, container: str, *, tty: bool, interactive: bool, limited: bool = False
    ) -> None:
        """Attach to a container that is not started yet; `limited` if its run has a time limit."""
        self.api, self.container, self.limited = api, container, limited
        parameters = {"stdin": int(interactive), "stdout": 1, "stderr": 1, "stream": 1, "detachKeys": NEVER_TYPED}
        super().__init__(api.attach_socket(container, params=parameters), tty=tty)
        if tty and interactive:
            end_of_input.leave_behind(self.socket)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the run's terminal; the daemon answers 409 if the run has exited."""
        with docker_errors(), contextlib.suppress(APIError):
            self.api.resize(self.container, rows, columns)

    def signal(self, number: int) -> None:
        """Send the process a signal; the daemon answers 409 if the run has exited."""
        with docker_errors(), contextlib.suppress(APIError):
            self.api.kill(self.container, signal.Signals(number).name)

    def wait(self) -> int:
        """Return the exit code; raises `EngineError` if the connection broke, since output may be missing."""
        with docker_errors(gone=LOST):
            self.raise_broken()
            code = int(self.api.wait(self.container, timeout=RECORDED_WITHIN)["StatusCode"])
            self.close()
            self.exit_code = self._checked(code) if code or self.limited else 0
            return self.exit_code

    def _checked(self, code: int) -> int:
        """Return 124 if the run reached its time limit, which only its container shows, if that still exists."""
        container = inspect_container(self.api, self.container)
        return exit_code(container) if container else code
