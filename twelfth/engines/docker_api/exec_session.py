"""Execute a command in a running container with its streams attached, as `docker exec` does."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from typing import TYPE_CHECKING

from docker.errors import APIError

from twelfth.engines.docker_api.attached_session import AttachedSession
from twelfth.engines.docker_api.errors import docker_errors
from twelfth.engines.docker_api.marked_processes import send_signal
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from twelfth.model.hook import Hook

MARK = "TWELFTH_EXEC"
"""The environment variable that marks the processes of a command, so that signals can be sent to them."""

NEVER_TYPED = ",".join(["\0"] * 8)
"""Keys at which the daemon would detach the client of a terminal.

By default the daemon would delay a Ctrl-P until the next key. JSON cannot express a byte that no key sends.
"""

ASK_EVERY = 0.02
RECORDED_WITHIN = 10
"""Seconds between reads of the exit code, and from the end of the streams to the exit code."""

CANNOT_EXECUTE, NOT_FOUND = 126, 127
MISSING = re.compile(rb"exec failed: .*(executable file not found|stat .*no such file or directory)")
"""What a daemon prints for a missing program, with the exit code 126."""

LOST = "the connection to the command broke ({}); it may still be running. Try: invoke ps"


class ExecSession(AttachedSession):
    """The streams of one command in a container; a terminal has the key Ctrl-C instead of signals."""

    def __init__(self, api: docker.APIClient, container: str, hook: Hook, *, tty: bool, interactive: bool) -> None:
        """Start the command."""
        self.api, self.container, self.user = api, container, hook.user
        self.mark = f"{MARK}={secrets.token_hex(8)}"
        with docker_errors():
            self.id = api.exec_create(
                container,
                hook.command,
                stdin=interactive,
                tty=tty,
                user=hook.user,
                workdir=hook.working_dir or None,
                environment=[*(f"{name}={value}" for name, value in hook.environment), self.mark],
                detach_keys=NEVER_TYPED,
            )["Id"]
            answer = api.exec_start(self.id, tty=tty, socket=True)
        super().__init__(answer, tty=tty)
        self._first = b""

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield the output, and keep the first piece."""
        for stream, data in super().output():
            self._first = self._first or data
            yield stream, data

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the command's terminal; the daemon refuses it if the command has exited."""
        with docker_errors(), contextlib.suppress(APIError):
            self.api.exec_resize(self.id, rows, columns)

    def signal(self, number: int) -> None:
        """Send the command's processes a signal; the daemon refuses it if the container has stopped."""
        with docker_errors(), contextlib.suppress(APIError):
            send_signal(self.api, self.container, self.mark, number, self.user)

    def wait(self) -> int:
        """Return the exit code; raises `EngineError` if the connection broke, since output may be missing."""
        with docker_errors(gone=LOST):
            self.raise_broken()
            deadline = time.monotonic() + RECORDED_WITHIN
            while (state := self.api.exec_inspect(self.id))["Running"] and time.monotonic() < deadline:
                time.sleep(ASK_EVERY)
        self.close()
        if state["ExitCode"] is None:
            raise EngineError(
                "the exit code of the command is unknown: its output ended, and it is still running. Try: invoke ps"
            )
        self.exit_code = int(state["ExitCode"])
        if self.exit_code == CANNOT_EXECUTE and MISSING.search(self._first):
            self.exit_code = NOT_FOUND
        return self.exit_code
