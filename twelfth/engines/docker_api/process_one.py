"""Decide which program is process 1 of a run: the entrypoint, if it is process 1 in the service; pure.

A command without an entrypoint runs under Docker's init, which passes signals on and reaps orphaned processes. So does
an entrypoint if the service declares `init: true`. Any other entrypoint may require to be process 1, as s6-overlay
does, so it starts as in the service.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from twelfth.model.duration import plain

if TYPE_CHECKING:
    from twelfth.model.run import RunRequest

    Body = dict[str, Any]

KILL_AFTER = 10
"""Seconds between TERM and KILL if the service declares no other grace period, as `docker stop` has it."""

WITH_VALUE = frozenset({"-e", "-p", "-r", "--rewrite"})
"""Options of tini and dumb-init whose value is the next word."""

INITS = frozenset({"catatonit", "dumb-init", "init", "my_init", "s6-svscan", "systemd", "tini", "tini-static"})
"""Init programs: they are made to be process 1 and start the command that follows them."""


def init(worker: Body, request: RunRequest) -> bool | None:
    """Return whether Docker's init is process 1 of a run; None leaves it to the daemon, as for the service."""
    declared: bool | None = worker["HostConfig"].get("Init")
    if declared is not None:
        return declared
    is_outermost = bool(worker["Config"].get("Entrypoint")) and (request.timeout is None or _is_needed(worker))
    return None if is_outermost else True


def entrypoint(worker: Body, request: RunRequest) -> list[str] | None:
    """Return the worker's entrypoint, with `timeout` if time is limited, which works without the client.

    Its options are ones that BusyBox supports, too. `timeout` comes first, unless the entrypoint has to be process 1:
    then it comes after an init and its options, or after the entrypoint of a service that declares `init: false`.
    """
    declared: list[str] | None = worker["Config"].get("Entrypoint")
    words = declared or []
    if request.timeout is None:
        return declared
    foreground = ["--foreground"] if request.tty else []
    grace = worker["Config"].get("StopTimeout") or KILL_AFTER
    limit = ["timeout", *foreground, "-k", str(grace), plain(request.timeout)]
    position = _init_length(words) if words and _is_needed(worker) else 0
    return [*words[:position], *limit, *words[position:]]


def _is_needed(worker: Body) -> bool:
    return worker["HostConfig"].get("Init") is False or _is_init(worker["Config"].get("Entrypoint") or [])


def _is_init(words: list[str]) -> bool:
    return bool(words) and posixpath.basename(words[0]) in INITS


def _init_length(words: list[str]) -> int:
    """Return the number of words of an init and its options."""
    if not _is_init(words):
        return len(words)
    position = 1
    while position < len(words) and words[position].startswith("-"):
        if words[position] == "--":
            return position + 1
        position += 2 if words[position] in WITH_VALUE else 1
    return min(position, len(words))
