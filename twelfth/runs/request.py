"""Check the options of a run and make a request from them."""

from __future__ import annotations

import os
import secrets
import socket
from typing import TYPE_CHECKING, Any

from twelfth.errors import MisuseError
from twelfth.model.duration import LONGEST, parse_seconds
from twelfth.model.run import SCHEDULE, RunRequest, Terminal
from twelfth.operator_name import operator
from twelfth.runs import terminal
from twelfth.runs.fire import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twelfth.model.job import Job
    from twelfth.model.service import Pairs
    from twelfth.model.snapshot import Replica


SHORTEST = 0.001
"""Shortest time limit in seconds."""


def command(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words as a command; raises `MisuseError` if there are none."""
    if not words:
        raise MisuseError("cannot start a run: no command was given. Try: invoke run -- COMMAND ARG…")
    return tuple(words)


def new_request(command: Sequence[str], replica: Replica, **settings: object) -> RunRequest:
    """Return a request for the command; by default with a new id and the operator's name.

    A run of a job that a schedule has started has the id of that fire.
    """
    words = tuple(map(as_utf8, command))
    settings |= {"reason": as_utf8(str(settings.get("reason", "")))}
    if settings.get("tty"):
        settings |= {"terminal": Terminal(*terminal.size(), kind=os.environ.get("TERM", ""))}
    fire = current(str(settings.get("job", "")))
    settings |= {"id": fire.run_id, "trigger": SCHEDULE} if fire else {}
    identity = {"id": secrets.token_hex(4), "operator": operator(), "host": socket.gethostname()}
    return RunRequest(command=words, replica=replica, **identity | settings)  # type: ignore[arg-type]


def with_job(job: Job, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a request with those of a job; a start by a schedule has the schedule's concurrency."""
    fire = current(job.name)
    reason = settings.get("reason") or (SCHEDULE if fire and job.needs_reason else "")
    return {
        **settings,
        "job": job.name,
        "changes": job.changes if job.changes.keys else None,
        "concurrency": fire.concurrency if fire else job.concurrency,
        "timeout": settings.get("timeout") or job.timeout,
        "reason": reason,
    }


def as_utf8(text: str) -> str:
    """Return text with its UTF-8 decoded; in an ASCII locale, Python turns it into surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def overrides(pairs: Iterable[str], environment: Mapping[str, str]) -> Pairs:
    """Return `NAME=VALUE` words as pairs; a bare `NAME` takes its value from the environment, as in `docker run --env`.

    So a secret need not be on a command line. Raises `MisuseError` for any other word, without the word: it may be a
    value whose name was forgotten.
    """
    variables = []
    for number, pair in enumerate(pairs, 1):
        name, mark, value = pair.partition("=")
        if not name or not (mark or name in environment):
            why = f"--env number {number} is not NAME=VALUE, nor the name of a variable that is set here"
            raise MisuseError(f"{why}. For example: --env LEVEL=debug")
        variables.append((as_utf8(name), as_utf8(value if mark else environment[name])))
    return tuple(variables)


def seconds(text: str, option: str = "--timeout") -> float | None:
    """Return a time limit in seconds, None for an empty text; raises `MisuseError` unless it is a duration above 0."""
    if not text:
        return None
    limit = parse_seconds(text) or 0.0
    if not SHORTEST <= limit < LONGEST:
        raise MisuseError(
            f"invalid {option} {text}: it is not a duration above 0. For example: {option} 30, 90s, 5m or 1h30m"
        )
    return limit


def wants_terminal(*, tty: bool, no_tty: bool, detach: bool, on_terminal: bool) -> bool:
    """Return whether the run gets a terminal; raises `MisuseError` if `--tty` asks for one that it cannot get."""
    if tty and (no_tty or detach):
        raise MisuseError(
            f"cannot open a terminal: --tty and {'--no-tty' if no_tty else '--detach'} exclude each other"
        )
    if tty and not on_terminal:
        why = "standard input or output is not a terminal, or this process is in the background"
        raise MisuseError(f"cannot open a terminal: {why}. Omit --tty")
    return on_terminal and not no_tty and not detach
