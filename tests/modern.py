"""Run a current Docker Engine with a separate file system and network, like a remote one.

Its programs are in a root file system that `.ci/modern-engine` creates. Its API is reached over TCP, and published
ports at the address of its machine. /tmp is shared with this machine: it contains what Compose mounts for comparison.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests import machines, swarms

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "MODERN_ENGINE"
"""The variable that names the root file system."""


def why_unavailable() -> str:
    """Return why the modern engine cannot be used, or an empty string."""
    if why := machines.why_unavailable() or swarms.why_without_images():
        return why
    if VARIABLE not in os.environ:
        return f"{VARIABLE} not set; run: export $(.ci/modern-engine)"
    return ""


def root() -> Path:
    """Return the root file system of the modern engine."""
    return Path(os.environ[VARIABLE])


@contextlib.contextmanager
def engine() -> Iterator[dict[str, str | None]]:
    """Run the engine and yield the variables to use it; None for a variable that must not be set."""
    images = swarms.disk([os.environ[name] for name in swarms.IMAGES])
    with machines.network() as network, machines.machine(network, 2, images, root()) as machine:
        settings = machine.home / "docker"
        settings.mkdir()
        plugins = root() / "usr/libexec/docker/cli-plugins"
        (settings / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(plugins)]}), "utf-8")
        yield {"DOCKER_HOST": machine.tcp_url, "DOCKER_CONFIG": str(settings), "DOCKER_API_VERSION": None}
