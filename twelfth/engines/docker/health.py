"""Ask a container's own healthcheck now, and not when Docker's interval has passed."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from twelfth.engines.docker.errors import docker_errors
from twelfth.errors import BusyError
from twelfth.model.snapshot import Health

if TYPE_CHECKING:
    import docker

    from twelfth.model.snapshot import Replica


SHELL = ["/bin/sh", "-c"]


def check_health(api: docker.APIClient, replica: Replica) -> Health:
    """Return what the check says when it is run in the container; without a check, whether the container runs."""
    command = check_command(replica)
    if not replica.is_running or not command:
        return Health(replica.is_running, "" if replica.is_running else replica.state)
    try:
        with docker_errors():
            check = api.exec_create(replica.id, command)["Id"]
            output = api.exec_start(check)
            code = api.exec_inspect(check)["ExitCode"]
    except BusyError as error:  # it ended just now
        return Health(is_ready=False, output=str(error))
    return Health(code == 0, output.decode(errors="replace").strip(), _shown(command))


def _shown(command: list[str]) -> str:
    """Return a check as its author would know it again: a shell's is its script."""
    return command[-1] if command[:2] == SHELL else shlex.join(command)


def check_command(replica: Replica) -> list[str]:
    """Return the command of a replica's healthcheck, as the daemon would run it; empty where it has none."""
    kind, *words = json.loads(replica.recipe.get("healthcheck") or "{}").get("Test") or ["NONE"]
    return {"CMD": words, "CMD-SHELL": [*SHELL, *words]}.get(kind, [])
