"""Read whether this machine is set up to use a Docker daemon, without importing the SDK or connecting to the daemon."""

from __future__ import annotations

import json
import os
from pathlib import Path

DEFAULT = "default"
"""The context without settings: the default socket."""

SOCKET = "/var/run/docker.sock"


def is_daemon_configured() -> bool:
    """Return whether a daemon is named by DOCKER_HOST, the docker context or the socket of a local daemon."""
    return bool(os.environ.get("DOCKER_HOST")) or current_context() != DEFAULT or os.path.lexists(SOCKET)


def current_context() -> str:
    """Return the name of the context that the docker command uses."""
    return os.environ.get("DOCKER_CONTEXT") or _chosen_context() or DEFAULT


def directory() -> Path:
    """Return the directory of the docker command's settings, which may not exist."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _chosen_context() -> str:
    try:
        return str(json.loads((directory() / "config.json").read_text("utf-8")).get("currentContext") or "")
    except (OSError, ValueError, AttributeError, RuntimeError):
        return ""
