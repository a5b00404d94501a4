"""The heartbeat of each scheduler: a file in the state of the stack, and what `status` warns about."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.schedule.fires import upcoming

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import tzinfo

    from twelfth.engines.state import State
    from twelfth.model.job import Job

DIRECTORY, PREFIX = "stack", "heartbeat-"
"""The files are next to the record of deploys, which `status` reads anyway."""

FILES = 256
"""Files at most: no file can be deleted, and a container has another host name whenever it is created."""

LATE = timedelta(minutes=3)
"""The time after which a fire that was not recorded counts as missed, and a scheduler as gone."""


WRONG = timedelta(hours=1)
"""A moment that is further ahead comes from a clock that was wrong."""


@dataclass(frozen=True)
class Heartbeat:
    """A scheduler's host, when it wrote this, and the moment up to which it has considered all fires."""

    host: str
    at: datetime
    until: datetime


def read(state: State) -> list[Heartbeat]:
    """Return the heartbeats; damaged and forgotten ones are left out."""
    files = state.read(DIRECTORY)
    heartbeats = [_parsed(content) for name, content in files.items() if name.startswith(PREFIX)]
    return [heartbeat for heartbeat in heartbeats if heartbeat]


def write(state: State, heartbeat: Heartbeat) -> None:
    """Write the heartbeat of a host; raises `EngineError`."""
    number = zlib.crc32(heartbeat.host.encode()) % FILES
    state.write({f"{DIRECTORY}/{PREFIX}{number:02x}.json": json.dumps(asdict(heartbeat), default=str).encode()})


def forget(state: State) -> None:
    """Empty the files, so that a new stack of that name has missed nothing; raises `EngineError`."""
    files = {name for name, content in state.read(DIRECTORY).items() if name.startswith(PREFIX) and content}
    if files:
        state.write({f"{DIRECTORY}/{name}": b"" for name in files})


def considered(moments: Iterable[datetime], now: datetime) -> datetime | None:
    """Return the last moment up to which fires were considered, without those of a clock that was wrong."""
    return max((moment for moment in moments if moment <= now + WRONG), default=None)


def warnings(
    jobs: Iterable[Job],
    heartbeats: Collection[Heartbeat],
    now: datetime,
    machine: tzinfo,
    remedy: str,
) -> Iterator[str]:
    """Yield a warning if no scheduler has run for a while, and if fires were missed; none without a schedule.

    `remedy` is the command that starts a scheduler.
    """
    scheduled = [job for job in jobs if job.schedules]
    until = considered((heartbeat.until for heartbeat in heartbeats), now)
    if until is None:
        if scheduled:
            yield f"no scheduler has run yet, so these jobs do not start: {_joined(scheduled)}. Try: {remedy}"
        return
    age = now - max(heartbeat.at for heartbeat in heartbeats)
    if scheduled and age > LATE:
        yield f"the last heartbeat of a scheduler was {age // timedelta(minutes=1)} min ago. Try: {remedy}"
    if missed := ", ".join(filter(None, (_missed(job, until, now, machine) for job in scheduled))):
        yield f"a fire was missed: {missed}. Try: {remedy if age > LATE else 'invoke schedule --list'}"


def _joined(jobs: Iterable[Job]) -> str:
    return ", ".join(job.name for job in jobs)


def _missed(job: Job, until: datetime, now: datetime, machine: tzinfo) -> str:
    """Return the name and minute of the first fire that was due a while ago."""
    first = next(iter(upcoming(job, until, 1, machine)), None)
    if first is None or first[0] > now - LATE:
        return ""
    return f"{job.name} at {first[0].astimezone(machine).isoformat(sep=' ', timespec='minutes')}"


def _parsed(content: bytes) -> Heartbeat | None:
    try:
        values = json.loads(content)
        times = (datetime.fromisoformat(values[name]).astimezone(UTC) for name in ("at", "until"))
        return Heartbeat(str(values["host"]), *times)
    except (ValueError, TypeError, KeyError):
        return None
