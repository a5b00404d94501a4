"""What the replicas of a stack printed, as lines that say whose they are."""

from __future__ import annotations

import queue
import re
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.engines.lines import whole_lines
from twelfth.errors import MisuseError, TwelfthError
from twelfth.stack.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica, Snapshot
    from twelfth.model.stack import Stack

LAST_LINES = 10
"""How much of the log of a replica that does not get ready is read."""


def replicas_of(stack: Stack, found: Snapshot, service: str) -> tuple[Replica, ...]:
    """Return the replicas of one service, or of all where none is named; raises `MisuseError` for one that is none."""
    replicas = found.of(service) if service else tuple(found.replicas)
    if not replicas:
        names = ", ".join(dict.fromkeys(one.service for one in found.replicas))
        known = "does not run on this engine" if stack.service(service) else "is not a service"
        raise MisuseError(f"{service} {known}; try: invoke logs SERVICE with one of {names}")
    return replicas


def lines(
    engine: Engine,
    replicas: tuple[Replica, ...],
    *,
    follow: bool,
    last: int | None = None,
    since: datetime | None = None,
) -> Iterator[bytes]:
    """Yield what the replicas printed, line by line as they come, each line behind its replica's name.

    Begins `last` lines before the end of each and not before `since`, where these are given.
    """
    width = max(len(one.name) for one in replicas)
    heads = {one.name: f"{one.name.ljust(width)} | ".encode() for one in replicas}
    pieces = {one.name: engine.logs(one, follow=follow, last=last, since=since) for one in replicas}
    if not follow:
        for one in replicas:
            yield from (heads[one.name] + line for line in whole_lines(pieces[one.name]))
        return
    yield from _merged({heads[one.name]: pieces[one.name] for one in replicas})


def last_lines(engine: Engine, replica: Replica) -> list[str]:
    """Return the end of what a replica printed, fit for a terminal."""
    log = b"".join(engine.logs(replica, follow=False, last=LAST_LINES))
    return [printable(line) for line in log.decode(errors="replace").splitlines()]


def moment(text: str, now: datetime) -> datetime:
    """Return when `--since` begins: a time of ISO 8601, this machine's where it names no zone, or `1h30m` ago.

    Raises `MisuseError` for anything else.
    """
    try:
        if text and (ago := re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)):
            days, hours, minutes, seconds = (int(part or 0) for part in ago.groups())
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise MisuseError(f"--since {text}: say how long ago, such as 10m or 1h30m, or a time of ISO 8601") from error


def _merged(sources: dict[bytes, Iterator[bytes]]) -> Iterator[bytes]:
    """Yield the lines of all sources as they come, until all have ended; raises what the first that fails raises."""
    arrived: queue.SimpleQueue[bytes | TwelfthError | None] = queue.SimpleQueue()

    def read(head: bytes, pieces: Iterator[bytes]) -> None:
        try:
            for line in whole_lines(pieces):
                arrived.put(head + line)
        except TwelfthError as error:
            arrived.put(error)
        finally:
            arrived.put(None)

    for head, pieces in sources.items():
        threading.Thread(target=read, args=(head, pieces), daemon=True).start()
    open_ones = len(sources)
    while open_ones:
        line = arrived.get()
        if isinstance(line, TwelfthError):
            raise line
        if line is None:
            open_ones -= 1
        else:
            yield line
