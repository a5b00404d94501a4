"""The record of a run, or of a change to the stack, as the ledger keeps it; pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.model.run import Run, RunRequest

CREATED, RUNNING, NOT_STARTED, UNKNOWN = "created", "running", "not started", "unknown"
DONE, FAILED = "done", "failed"
UNFINISHED = {CREATED, RUNNING, "unreachable"}
"""States in which the end is still to come, as far as is known."""

SUCCEEDED = {DONE, "stopped"}

ALWAYS = "always"
"""The value of `notify` with which success is reported, too."""

PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 720))
"""The times between two attempts to deliver a notification; after the last one it is given up."""

NOT_STORED = {"has_output", "notified"}


@dataclass(frozen=True)
class Delivery:
    """The delivery of a notification: how often it was tried, when it is tried next, and when it succeeded.

    Times are ISO 8601 in UTC, "" for never.
    """

    attempts: int = 0
    next: str = ""
    delivered: str = ""

    @property
    def is_last(self) -> bool:
        """Whether the last attempt was the final one."""
        return not (self.next or self.delivered)

    def is_due(self, now: datetime) -> bool:
        """Return whether it is to be tried now."""
        return bool(self.next) and datetime.fromisoformat(self.next) <= now

    def attempted(self, now: datetime) -> Delivery:
        """Return the delivery with an attempt that starts now, and the time of the next one in case it fails."""
        pause = dict(enumerate(PAUSES)).get(self.attempts)
        return Delivery(self.attempts + 1, "" if pause is None else (now + pause).isoformat())

    def to_json(self) -> bytes:
        """Return the delivery as JSON."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True)
class Record:
    """Who did what, on which host, why, when, and how it ended. Times are ISO 8601 in UTC.

    `kind` is `run`, `restore` (a run, too), `up`, `rollback`, `scale`, `stop`, `start`, `restart`, `down` or `prune`;
    `what` is what it was done to, such as `worker=3` or a file's name. `overrides` are names of settings, never values.
    `release_before` and `release` are the running releases before and after a change; a run has one release. `state` is
    that of a `Run`, or `interrupted`, `not started`, or `unknown` if no process saw the end. `error` is the first line
    of the error of a change that failed. `trigger` is what started it: `operator` or `schedule`.
    """

    id: str
    kind: str
    operator: str
    engine: str
    started: str
    host: str = ""
    reason: str = ""
    trigger: str = "operator"
    command: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    what: str = ""
    release_before: str = ""
    release: str = ""
    image: str = ""
    finished: str = ""
    seconds: float | None = None
    state: str = RUNNING
    exit_code: int | None = None
    error: str = ""
    source_mounted: bool = False
    purpose: str = ""
    job: str = ""
    """The name of the job that was started, or ""."""
    notify: str = ""
    """When the end is reported: `failure`, `always`, or "" for never."""
    discards_output: bool = False
    """Whether no copy of the output of the run is kept."""
    has_output: bool = False
    """Whether the engine still has the output of the run; this is not stored."""
    notified: Delivery | None = None
    """The delivery of its notification, None if it was not tried; it is stored in a separate file."""

    @property
    def has_ended(self) -> bool:
        """Whether the record is complete."""
        return self.state not in UNFINISHED

    @property
    def is_final(self) -> bool:
        """Whether it is complete, and the engine cannot know better."""
        return self.has_ended and self.state not in {NOT_STARTED, UNKNOWN}

    @property
    def has_failed(self) -> bool:
        """Whether it ended in any other way than with success or because an operator stopped it."""
        return self.has_ended and self.state not in SUCCEEDED

    @property
    def is_reported(self) -> bool:
        """Whether its end is one that is reported."""
        return self.has_failed if self.notify and self.notify != ALWAYS else self.has_ended and bool(self.notify)

    @property
    def is_running(self) -> bool:
        """Whether it is running, as far as is known."""
        return self.state == RUNNING

    @property
    def is_run(self) -> bool:
        """Whether a process was started for it, with output."""
        return bool(self.command)

    @property
    def moment(self) -> datetime:
        """When it started."""
        return datetime.fromisoformat(self.started).astimezone(UTC)

    def must_be_reported(self, now: datetime, settled: timedelta = timedelta()) -> bool:
        """Return whether its notification is to be sent now.

        The process that sees the end makes the first attempt, unless it is killed. Others leave it to that process
        until the end is `settled` ago, but not the outcome of a run that no process saw.
        """
        if self.notified or not self.is_reported:
            return self.notified is not None and self.notified.is_due(now)
        is_unseen = self.is_run and self.exit_code is None
        return is_unseen or not self.finished or datetime.fromisoformat(self.finished) <= now - settled

    def attempted(self, now: datetime) -> Record:
        """Return the record with an attempt to deliver its notification."""
        return replace(self, notified=(self.notified or Delivery()).attempted(now))

    def to_json(self) -> bytes:
        """Return the record as JSON, without fields that have their default."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_STORED}
        defaults = {field.name: field.default for field in fields(self)}
        return json.dumps({name: value for name, value in values.items() if value != defaults[name]}).encode()

    def ended(self, state: str, finished: datetime, error: str = "") -> Record:
        """Return the record with its end."""
        seconds = round((finished - self.moment).total_seconds(), 3)
        return replace(self, state=state, finished=finished.isoformat(), seconds=seconds, error=error)


NAMES = frozenset(field.name for field in fields(Record)) - NOT_STORED


def from_json(content: bytes) -> Record | None:
    """Return the record, None if the content is damaged."""
    try:
        values = json.loads(content)
        lists = {name: tuple(map(str, values.get(name, ()))) for name in ("command", "overrides")}
        record = Record(**{name: value for name, value in values.items() if name in NAMES} | lists)
        datetime.fromisoformat(record.started)
    except (ValueError, TypeError, AttributeError):
        return None
    return record


def delivery_from_json(content: bytes) -> Delivery | None:
    """Return the delivery, None if the content is damaged."""
    try:
        delivery = Delivery(**json.loads(content))
        delivery.is_due(datetime.now(UTC))
    except (ValueError, TypeError):
        return None
    return delivery


def of_request(request: RunRequest, engine: str, started: datetime) -> Record:
    """Return the record of a run that is about to be started."""
    return Record(
        id=request.id,
        kind=request.kind,
        operator=request.operator,
        engine=engine,
        started=started.isoformat(),
        host=request.host,
        reason=request.reason,
        command=request.command,
        overrides=request.overrides,
        what=request.what,
        release=request.replica.release,
        image=request.replica.image,
        state=CREATED,
        purpose=request.purpose,
        job=request.job,
        trigger=request.trigger,
        notify=request.notify,
        discards_output=not request.kept,
    )


def of_run(run: Run) -> Record:
    """Return the record of a run as its engine knows it."""
    return Record(**asdict(run))
