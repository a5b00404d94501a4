"""Put a stack's state into words: a table for people, JSON for scripts."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stack.door import Said
    from stack.model import Run, Running, Snapshot, Stack

WIDEST = 50
"""Characters of a command that the table shows."""


@dataclass(frozen=True)
class Row:
    """One service as it is now; `replicas` counts those that run, `wanted` those that the Compose file asks for."""

    service: str
    replicas: int
    wanted: int
    state: str
    health: str
    release: str

    def words(self) -> tuple[str, ...]:
        """Return the row as words for a table."""
        return (self.service, f"{self.replicas}/{self.wanted}", self.state, self.health or "-", self.release or "-")


@dataclass(frozen=True)
class Status:
    """A stack as it is now."""

    project: str
    engine: str
    address: str
    ready: bool
    why: str
    release: str
    revision: str
    since: str
    services: tuple[Row, ...]

    def json(self) -> str:
        """Return the status as one JSON object."""
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        """Return the status as a few lines for people."""
        if not self.services:
            return f"nothing of {self.project} is up on {self.engine}; try: invoke up"
        rows = [("SERVICE", "REPLICAS", "STATE", "HEALTH", "RELEASE"), *(row.words() for row in self.services)]
        head = f"{self.project} on {self.engine}, release {self.release or '-'}"
        return "\n".join((head, *table(rows), *self._schema(), f"{self.address or 'no address'} {self._answers()}"))

    def _answers(self) -> str:
        return "answers" if self.ready else f"is not ready: {self.why}" if self.why else "does not answer"

    def _schema(self) -> tuple[str, ...]:
        since = f", counting since {self.since}" if self.since else ""
        return (f"data at revision {self.revision}{since}",) if self.revision else ()


def status(stack: Stack, engine: str, snapshot: Snapshot, said: Said, address: str) -> Status:
    """Return the status of a stack of which `snapshot` was found on an engine, and whose door said so."""
    names = dict.fromkeys([*(one.name for one in stack.services), *(one.service for one in snapshot.running)])
    rows = tuple(_row(name, stack, snapshot.of(name)) for name in names if snapshot.of(name))
    releases = _joined(one.release for one in snapshot.running)
    return Status(
        stack.project, engine, address, said.ready, said.why, releases, said.revision, said.since, services=rows
    )


def _row(name: str, stack: Stack, replicas: tuple[Running, ...]) -> Row:
    service = stack.service(name)
    return Row(
        service=name,
        replicas=sum(one.is_running for one in replicas),
        wanted=service.replicas if service else 0,
        state=_joined(one.state for one in replicas),
        health=_joined(one.health for one in replicas),
        release=_joined(one.release for one in replicas),
    )


def history(records: Iterable[Run]) -> str:
    """Return the records of runs as a table for people; times are this machine's."""
    heads = ("RUN", "STARTED", "SECONDS", "STATE", "EXIT", "RELEASE", "OPERATOR", "COMMAND", "REASON")
    rows = [heads, *map(_record, records)]
    return "\n".join(table(rows)) if len(rows) > 1 else "no run is recorded; try: invoke run -- COMMAND"


def _record(run: Run) -> tuple[str, ...]:
    began = datetime.fromisoformat(run.started).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    seconds = "-" if run.seconds is None else f"{run.seconds:.1f}"
    code = "-" if run.exit_code is None else str(run.exit_code)
    command = printable(shlex.join(run.command))
    shown = command if len(command) <= WIDEST else f"{command[: WIDEST - 1]}…"
    return (run.id, began, seconds, run.state, code, run.release or "-", run.operator, shown, printable(run.reason))


def printable(text: str) -> str:
    """Return the text with what would move or colour a terminal spelled out."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def history_json(records: Iterable[Run]) -> str:
    """Return the records of runs as one JSON array."""
    return json.dumps([asdict(each) for each in records])


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of words as lines, in columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
