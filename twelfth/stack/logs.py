"""What the replicas of a stack printed, as lines that say whose they are."""

from __future__ import annotations

import itertools
import queue
import re
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.engines.lines import whole_lines
from twelfth.errors import MisuseError, NoLogError, TwelfthError
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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


def lines(logs: Mapping[str, Iterator[bytes]], *, follow: bool, say: Callable[[str], None]) -> Iterator[bytes]:
    """Yield logs, by the names of their replicas, line by line as they come, each line behind its replica's name.

    A log that is kept nowhere is told, and the others are shown; raises `NoLogError` where there is none.
    """
    width = max(map(len, logs))
    unkept: list[str] = []

    def read(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        head = f"{printable(name).ljust(width)} | ".encode()
        try:
            yield from (head + line for line in whole_lines(pieces))
        except NoLogError as error:
            why = f"{name}: {error}"
            if len(logs) == 1:
                raise NoLogError(why) from error
            say(why)
            unkept.append(name)

    sources = [read(*each) for each in logs.items()]
    yield from _merged(sources) if follow else itertools.chain.from_iterable(sources)
    if len(unkept) == len(logs):
        raise NoLogError(f"nothing of what {', '.join(unkept)} printed is kept; see: invoke config")


def last_lines(engine: Engine, replica: Replica) -> list[str]:
    """Return the end of what a replica printed, fit for a terminal; nothing where that is kept nowhere."""
    try:
        log = b"".join(engine.logs(replica, follow=False, last=LAST_LINES))
    except NoLogError:
        return []
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


def _merged(sources: Sequence[Iterator[bytes]]) -> Iterator[bytes]:
    """Yield the lines of all sources as they come, until all have ended; raises what the first that fails raises."""
    arrived: queue.SimpleQueue[bytes | TwelfthError | None] = queue.SimpleQueue()

    def read(lines: Iterator[bytes]) -> None:
        try:
            for line in lines:
                arrived.put(line)
        except TwelfthError as error:
            arrived.put(error)
        finally:
            arrived.put(None)

    for source in sources:
        threading.Thread(target=read, args=(source,), daemon=True).start()
    open_ones = len(sources)
    while open_ones:
        line = arrived.get()
        if isinstance(line, TwelfthError):
            raise line
        if line is None:
            open_ones -= 1
        else:
            yield line
