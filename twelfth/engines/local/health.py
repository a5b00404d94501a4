"""Ask a process's own healthcheck, a command that runs as the process does."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, Any

from twelfth.model.snapshot import Health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.model.snapshot import Replica

WITHIN = 10.0
"""Seconds after which a check that says nothing counts as failed."""


def check_health(replica: Replica, spec: Mapping[str, Any]) -> Health:
    """Return what the check says, run with what the replica was launched from; without one, whether it runs."""
    command = spec.get("healthcheck")
    if not replica.is_running or not command:
        return Health(replica.is_running, "" if replica.is_running else replica.state)
    try:
        done = subprocess.run(  # noqa: S603 - what the Compose file says
            command,
            cwd=spec["directory"],
            env=spec["environment"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Health(is_ready=False, output=f"its healthcheck failed: {error}")
    return Health(done.returncode == 0, (done.stdout + done.stderr).strip(), shlex.join(command))
