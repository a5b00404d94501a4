"""Run a container's healthcheck now instead of waiting for Docker's interval."""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import signal
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twelfth.engines import healthcheck, multiplex
from twelfth.engines.docker_api import client
from twelfth.engines.docker_api.container_spec import NANO
from twelfth.engines.docker_api.errors import docker_errors
from twelfth.engines.docker_api.marked_processes import SHELL, send_signal
from twelfth.errors import BusyError, EngineError
from twelfth.model.snapshot import Health

if TYPE_CHECKING:
    import docker

    from twelfth.model.snapshot import Replica


MARK = "TWELFTH_HEALTHCHECK"
"""The environment variable that marks the processes of one check."""


def check_health(api: docker.APIClient, replica: Replica, monitor: float, within: float | None = None) -> Health:
    """Run the check in the container and return its result; without a check, return whether the container is steady.

    A check has its `timeout`, and at most `within` seconds.
    """
    command = check_command(replica)
    if not command:
        return healthcheck.of_process(replica, lambda: running_seconds(api, replica.id), monitor)
    if unsteady := healthcheck.of_unsteady(replica, lambda: running_seconds(api, replica.id)):
        return unsteady
    timeout = _timeout(replica)
    limit = timeout if within is None else min(timeout, within)
    try:
        with docker_errors():
            return _check(api, replica.id, command, limit, timeout)
    except (BusyError, EngineError) as error:  # it exited just now; if after `exec_create`, the daemon answers 500
        if isinstance(error, EngineError) and running_seconds(api, replica.id):
            raise
        return Health(is_ready=False, output=str(error))


def _check(api: docker.APIClient, container: str, command: list[str], limit: float, timeout: float) -> Health:
    mark = f"{MARK}={secrets.token_hex(8)}"
    check = api.exec_create(container, command, environment=[mark])["Id"]
    with client.post_stream(api, f"/exec/{check}/start", {"Detach": False, "Tty": False}) as answer:
        read = healthcheck.read_until(time.monotonic() + limit, answer.raw.fileno(), answer.raw.read1)
        try:
            output = healthcheck.last(piece for _, piece in multiplex.output(read))
        except TimeoutError:
            _kill(api, container, mark)
            return healthcheck.timed_out(limit, timeout, _shown(command))
    return Health(api.exec_inspect(check)["ExitCode"] == 0, output, _shown(command))


def _kill(api: docker.APIClient, container: str, mark: str) -> None:
    """Kill a check that has timed out, so that checks do not pile up; in an image without a shell it keeps running."""
    with contextlib.suppress(EngineError, BusyError), docker_errors():
        send_signal(api, container, mark, signal.SIGKILL)


def running_seconds(api: docker.APIClient, container: str) -> float:
    """Return the seconds since a container's last start, by the daemon's clock; 0 if it was removed."""
    with docker_errors():
        inspected: dict[str, Any] = client.inspect_container(api, container) or {}
        state = inspected.get("State", {})
        return seconds_since(api, state["StartedAt"]) if state.get("Running") else 0.0


def seconds_since(api: docker.APIClient, moment: str) -> float:
    """Return the seconds since a time that the daemon reports, by the daemon's clock."""
    now = datetime.fromisoformat(api.info()["SystemTime"])
    return max((now - datetime.fromisoformat(moment)).total_seconds(), 0.0)


def _timeout(replica: Replica) -> float:
    return float(_declared(replica).get("Timeout") or 0) / NANO or healthcheck.TIMEOUT


def _shown(command: list[str]) -> str:
    """Return a check as its author wrote it: for a shell, only the script."""
    return command[-1] if command[:2] == SHELL else shlex.join(command)


def check_command(replica: Replica) -> list[str]:
    """Return the command of a replica's healthcheck as the daemon would run it; empty if there is none."""
    kind, *words = _declared(replica).get("Test") or ["NONE"]
    return {"CMD": words, "CMD-SHELL": [*SHELL, *words]}.get(kind, [])


def _declared(replica: Replica) -> dict[str, Any]:
    check: dict[str, Any] = json.loads(replica.recipe.get("healthcheck") or "{}")
    return check
