"""The logs of replicas, each line prefixed with its replica's name."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.engines.lines import line_blocks
from twelfth.errors import MisuseError, NoLogError
from twelfth.model.duration import parse_duration
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica, Snapshot
    from twelfth.model.stack import Stack

LAST_LINES = 10
"""Lines that are shown of the log of a replica that does not get ready."""


def replicas_of(stack: Stack, snapshot: Snapshot, services: Collection[str]) -> tuple[Replica, ...]:
    """Return the replicas of services, all if there are none; raises `MisuseError` for a service without replicas."""
    existing = dict.fromkeys(replica.service for replica in snapshot.replicas)
    for service in services:
        if service not in existing:
            why = "has no replica" if stack.service(service) else "is not a service"
            hint = f"Try: invoke logs SERVICE, with one of {', '.join(existing)}"
            raise MisuseError(f"cannot show logs: {service} {why}. {hint}")
    if not services:
        return tuple(snapshot.replicas)
    return tuple(replica for service in services for replica in snapshot.replicas_of(service))


def lines(logs: Sequence[tuple[str, Iterator[bytes]]], say: Callable[[str], None]) -> Iterator[bytes]:
    """Yield blocks of lines of one log after the other, each line prefixed with its replica's name.

    `logs` has the names of replicas; during a deploy two have the same name. A log that is not kept is reported, and
    the others are shown; raises `NoLogError` if there is no other.
    """
    width, unkept = max(len(name) for name, _ in logs), []
    for name, pieces in logs:
        try:
            yield from prefixed(name, width, pieces)
        except NoLogError as error:
            if len(logs) == 1:
                raise NoLogError(f"{name}: {error}") from error
            say(f"{name}: {error}")
            unkept.append(name)
    refuse_unkept(unkept, len(logs))


def prefixed(name: str, width: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield blocks of lines of a log, each line prefixed with a name and ended with a newline."""
    head = f"{printable(name).ljust(width)} | ".encode()
    for block in line_blocks(pieces):
        if not block[-1].endswith(b"\n"):
            block[-1] += b"\n"
        yield b"".join(itertools.chain.from_iterable((head, line) for line in block))


def refuse_unkept(unkept: Collection[str], count: int) -> None:
    """Raise `NoLogError` if none of the logs is kept."""
    if len(unkept) == count:
        raise NoLogError(f"cannot show logs: the output of {', '.join(unkept)} is not kept. Try: invoke config")


def last_lines(engine: Engine, replica: Replica) -> list[str]:
    """Return the last lines of a replica's log, safe for a terminal; none if it keeps no log."""
    try:
        log = b"".join(engine.logs(replica, follow=False, last=LAST_LINES))
    except NoLogError:
        return []
    return [printable(line) for line in log.decode(errors="replace").splitlines()]


def moment(text: str, now: datetime) -> datetime:
    """Return the time of `--since`: ISO 8601, in this machine's zone if it names none, or a duration such as `1h30m`.

    Raises `MisuseError` for other text.
    """
    try:
        if (ago := parse_duration(text)) is not None:
            return now - timedelta(seconds=ago)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise MisuseError(f"--since {text}: write how long ago, such as 10m or 1h30m, or a time of ISO 8601") from error
