"""Send a notification to a URL or to a command on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twelfth.model.job import Notify

LATE = "took too long"


def send(notify: Notify, content: bytes, run_id: str, directory: Path, seconds: float) -> str:
    """Send the content to the URL and the command that are declared; return which of them failed and why, or "".

    A command is executed in the directory, and killed after this many seconds. The text names no path of a URL, which
    may be secret.
    """
    # At the same time: a URL that does not answer must not keep the command from being executed, and killed, in time.
    posted: list[str] = []
    post = threading.Thread(target=lambda: posted.append(_post(notify.url, content, run_id, seconds)), daemon=True)
    deadline = time.monotonic() + seconds
    if notify.url:
        post.start()
    executed = _execute(notify.command, content, directory, seconds) if notify.command else ""
    if notify.url:
        post.join(max(0, deadline - time.monotonic()))
    failures = [*(posted or [f"{_origin(notify.url)} {LATE}"] * bool(notify.url)), executed]
    return "; ".join(filter(None, failures))


def _post(url: str, content: bytes, run_id: str, seconds: float) -> str:
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class NoRedirects(HTTPRedirectHandler):
        """The content is for this receiver only, so that a redirect is an error."""

        def redirect_request(self, *_: object) -> None:
            """Return no request."""

    headers = {"Content-Type": "application/json", "Idempotency-Key": run_id, "User-Agent": "twelfth"}
    try:
        request = Request(url, content, headers)  # noqa: S310 - the scheme is checked when the file is read
        build_opener(NoRedirects).open(request, timeout=seconds).close()
    except HTTPError as error:
        error.close()
        return f"{_origin(url)} answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return f"{_origin(url)} {_reason(error)}"
    return ""


def _origin(url: str) -> str:
    """Return the scheme, host and port of a URL: user, path and query may be secret."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return "the URL"


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return LATE
    if isinstance(reason, ConnectionResetError | BrokenPipeError):
        return "closed the connection without an answer"
    # Other texts may contain the URL.
    why = reason.strerror if isinstance(reason, OSError) else ""
    return f"fails ({why or type(reason).__name__})"


def _execute(command: Sequence[str], content: bytes, directory: Path, seconds: float) -> str:
    import subprocess

    try:
        process = subprocess.Popen(  # noqa: S603 - the Compose file is the operator's
            command,
            stdin=subprocess.PIPE,
            # A pipe that the command inherits would keep the readers of this process's output waiting.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"{command[0]} cannot be executed ({getattr(error, 'strerror', '') or type(error).__name__})"
    try:
        process.communicate(content, timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"{command[0]} {LATE}"
    return f"{command[0]} exited with code {process.returncode}" if process.returncode else ""
