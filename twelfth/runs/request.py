"""What was typed about a run, checked and put into a request."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError
from twelfth.model.duration import LONGEST, parse_seconds
from twelfth.model.run import RunRequest, Terminal
from twelfth.operator_name import operator
from twelfth.runs import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Pairs


SHORTEST = 0.001
"""Shortest time limit in seconds."""


def command(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words as a command; raises `MisuseError` where there are none."""
    if not words:
        raise MisuseError("no command; say what to run: invoke run -- COMMAND ARG…")
    return tuple(words)


def new_request(command: Sequence[str], replica: Replica, **asked: object) -> RunRequest:
    """Return a request for the command, with a fresh id and this operator's name."""
    words = tuple(map(as_utf8, command))
    asked |= {"reason": as_utf8(str(asked.get("reason", "")))}
    if asked.get("tty"):
        asked |= {"terminal": Terminal(*terminal.size(), kind=os.environ.get("TERM", ""))}
    return RunRequest(id=secrets.token_hex(4), command=words, replica=replica, operator=operator(), **asked)  # type: ignore[arg-type]


def as_utf8(text: str) -> str:
    """Return text with its UTF-8 decoded; in an ASCII locale, Python turns it into surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def overrides(pairs: Iterable[str], environment: Mapping[str, str]) -> Pairs:
    """Return `NAME=VALUE` words as pairs; a bare `NAME` has its value in the environment, as `docker run --env` has it.

    A secret then is on no command line. Raises `MisuseError` for a word that is neither, and never shows one: it may
    be a value whose name was forgotten.
    """
    found = []
    for number, pair in enumerate(pairs, 1):
        name, mark, value = pair.partition("=")
        if not name or not (mark or name in environment):
            why = f"--env number {number} is not NAME=VALUE, nor the name of a variable that is set here"
            raise MisuseError(f"{why}; say for example --env LEVEL=debug")
        found.append((as_utf8(name), as_utf8(value if mark else environment[name])))
    return tuple(found)


def seconds(text: str, option: str = "--timeout") -> float | None:
    """Return a time limit in seconds, None for an empty text; raises `MisuseError` unless it is a duration above 0."""
    if not text:
        return None
    limit = parse_seconds(text) or 0.0
    if not SHORTEST <= limit < LONGEST:
        raise MisuseError(f"{option} {text}: say how long, more than 0, such as {option} 30, 90s, 5m or 1h30m")
    return limit


def terminal_wanted(*, tty: bool, no_tty: bool, detach: bool, there_is_one: bool) -> bool:
    """Return whether the run gets a terminal; raises `MisuseError` where one is asked for that cannot be."""
    if tty and (no_tty or detach or not there_is_one):
        why = (
            "--no-tty"
            if no_tty
            else "--detach"
            if detach
            else "no terminal here: standard input or output is not one, or another job has it"
        )
        raise MisuseError(f"--tty does not go with {why}; try it without --tty")
    return there_is_one and not no_tty and not detach
