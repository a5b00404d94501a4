"""Read whether this machine is set up to use a Docker daemon, without importing the SDK or connecting to the daemon."""

from __future__ import annotations

import json
import os
from pathlib import Path

SOCKET = "/var/run/docker.sock"


def is_daemon_configured() -> bool:
    """Return whether a daemon is named by DOCKER_HOST, the docker context or the socket of a local daemon."""
    return bool(os.environ.get("DOCKER_HOST")) or _context() not in {"", "default"} or os.path.lexists(SOCKET)


def _context() -> str:
    if name := os.environ.get("DOCKER_CONTEXT"):
        return name
    try:
        directory = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        settings = json.loads((directory / "config.json").read_text("utf-8"))
        return str(settings.get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""
