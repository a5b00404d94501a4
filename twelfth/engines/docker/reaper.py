"""The end of a pause container: a client leaves this process behind, which removes one that no run needs any more.

It follows the daemon's events. When a service of the stack ends, as `docker compose down` and every deploy have it, a
pause container that no run has joined goes at once, so that it keeps no network from being removed; else when nothing
has happened for a while. A run that goes on keeps its pause container. There is one such process a stack and machine,
as it has a lock; where it was killed, the next attached run leaves another.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import ReadTimeoutError

from twelfth.engines.docker import client, pause
from twelfth.engines.docker.errors import docker_errors
from twelfth.engines.docker.replica import COMPOSE, NANO
from twelfth.engines.own_directory import make_own_directory
from twelfth.errors import TwelfthError

if TYPE_CHECKING:
    import docker

    from twelfth.model.stack import Stack

IDLE = 15.0
"""Seconds without a run, after which the next one makes a pause container of its own."""

EVENTS = ["create", "start", "kill", "die"]
ENDS = {"kill", "die"}
"""What happens to a container that counts, and what of it ends a service: the signal comes first."""

PATIENCE = 10
"""By how much the process yields to others, as `nice` counts: the run that has just started is waited for."""


def leave_behind(stack: Stack) -> None:
    """Start the process where there is none; where its lock cannot be written, the pause container ends by itself."""
    lock = stack.directory / ".twelfth" / f"{stack.project}.reaper"
    with contextlib.suppress(OSError):
        make_own_directory(lock.parent)
        with lock.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - the lock is its from now on
            _start(stack.project)


def _start(project: str) -> None:
    """Start it with nothing of this process but the environment, which tells where the daemon is."""
    home = str(Path(__file__).resolve().parents[3])
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    words = [sys.executable, "-P", "-m", "twelfth.engines.docker.reaper", project]
    os.posix_spawn(sys.executable, words, os.environ | {"PYTHONPATH": home}, file_actions=nothing)


def main(project: str) -> None:
    """Remove the project's pause containers when they are needed no more, and end with the last."""
    with contextlib.suppress(OSError):
        os.setsid()
    os.nice(PATIENCE)
    with contextlib.suppress(TwelfthError), docker_errors():  # a daemon that went away took them along
        reap(client.connect(), project)


def reap(api: docker.APIClient, project: str) -> None:
    """Remove pause containers until there is none."""
    found = pause.listed(api, project)
    since = min((listed["Created"] for listed in found), default=0) * NANO
    while found:
        since = _wait(api, project, since)
        pause.remove_unused(api, project, time.time())
        found = pause.listed(api, project)


def _wait(api: docker.APIClient, project: str, since: int) -> int:
    """Return when a service of the project has ended, or nothing has happened to its containers for a while.

    Events count from `since` on, in nanoseconds of the daemon's time; where to go on is returned.
    """
    wanted = {"label": [f"{COMPOSE}project={project}"], "type": ["container"], "event": EVENTS}
    params = {"filters": json.dumps(wanted), "since": f"{since // NANO}.{since % NANO:09}"}
    try:
        with client.stream(api, "/events", params, IDLE) as answer:
            for event in map(json.loads, answer.iter_lines()):
                since = event["timeNano"] + 1
                if event["Action"] in ENDS and event["Actor"]["Attributes"].get(f"{COMPOSE}oneoff") == "False":
                    return since
    except requests.exceptions.ConnectionError as error:
        if isinstance(error.args[0], ReadTimeoutError):
            return since
        raise
    raise ConnectionError("the daemon tells no more")


if __name__ == "__main__":
    main(sys.argv[1])
