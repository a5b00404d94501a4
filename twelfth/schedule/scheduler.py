"""Start the jobs of a stack when they are due: each fire once, or a record of why it was not started.

A stack may have several schedulers. A fire is claimed first, then looked up in the ledger, then recorded there, and
only then its process is started. So a fire that a killed scheduler has claimed or recorded is never started.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol

from twelfth.errors import TwelfthError
from twelfth.model.job import FORBID
from twelfth.model.record import CREATED, DONE, FAILED, NOT_STARTED, Delivery, Record, of_run
from twelfth.model.run import SCHEDULE
from twelfth.operator_name import operator
from twelfth.runs.fire import Fire
from twelfth.runs.ledger import Ledger
from twelfth.schedule import heartbeat
from twelfth.schedule.decision import decide, expired
from twelfth.schedule.heartbeat import LATE, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime, tzinfo

    from twelfth.engines.contract import Engine
    from twelfth.model.job import Job
    from twelfth.schedule.decision import Decision
    from twelfth.schedule.fires import DueFire

WAITING = 10
"""Fires of a job that wait at most, with `concurrency: queue`; later ones are not started."""

CHECK_EVERY = timedelta(minutes=5)
"""The time between two searches for fires of schedulers that were killed."""

SEARCHED = timedelta(days=1)
"""How far back in the ledger fires of schedulers that were killed are searched."""

MINUTE = timedelta(minutes=1)

SECONDS_TO_NOTIFY = 10.0
"""The time that receivers of notifications have: longer than that of a command, whose exit waits for it."""

_CLAIMED = "claimed by a scheduler that did not record it: it was killed, or the stack could not be reached"


class Exit(NamedTuple):
    """The exit code of a process, and the last line of its errors."""

    code: int
    error: str


class Processes(Protocol):
    """The processes of fires, as `child.Processes` starts them."""

    def reserve(self, run_id: str) -> None:
        """Show that the process of a fire will be started here; raises `OSError`."""

    def is_alive(self, run_id: str) -> bool:
        """Return whether a process of this machine has the fire."""

    def start(self, fire: Fire) -> None:
        """Start the process of a fire that was reserved; raises `OSError`."""

    def ended(self) -> dict[str, Exit]:
        """Return the fires whose processes have exited and that were not released."""

    def release(self, run_id: str) -> None:
        """Forget a fire whose record is complete."""


@dataclass
class Surroundings:
    """What a scheduler is given: the clock, a way to wait, the jobs, the engine, and how processes are started.

    `wait` returns after that many seconds, or when a process has exited. `load` returns the current jobs. `connect`
    returns an engine that has read nothing yet. `machine` is the time zone of this machine.
    """

    now: Callable[[], datetime]
    wait: Callable[[float], None]
    load: Callable[[], Collection[Job]]
    connect: Callable[[], Engine]
    processes: Processes
    say: Callable[[str], None]
    host: str
    machine: tzinfo


@dataclass
class Scheduler:
    """A scheduler of one stack."""

    around: Surroundings
    jobs: Collection[Job] = ()
    until: datetime | None = None
    problem: str = ""
    """Why the last minute's fires could not be considered."""

    unread: str = ""
    """Why the Compose file could not be read."""

    claimed: set[DueFire] = field(default_factory=set)
    """The latest fires that this scheduler has claimed: it starts them also if they could not be recorded at once."""

    running: dict[str, str] = field(default_factory=dict)
    """The fire of each job whose process this scheduler has started."""

    waiting: defaultdict[str, deque[Fire]] = field(default_factory=lambda: defaultdict(deque))
    checked: datetime | None = None

    def run(self) -> None:
        """Consider the fires of each minute, until this process is stopped."""
        last = None
        while True:
            minute = self.around.now().replace(second=0, microsecond=0)
            if minute != last:
                self.tick()
            elif self.around.processes.ended():
                self._try(self._settle)
            last = minute
            self.around.wait(max(0.01, (minute + MINUTE - self.around.now()).total_seconds()))

    def tick(self) -> None:
        """Consider the fires that have become due, and write the heartbeat."""
        problem = ""
        try:
            self.jobs = self.around.load()
        except TwelfthError as error:
            problem = f"{error}; the previous jobs stay in use"
        if problem not in {"", self.unread}:
            self.around.say(problem)
        self.unread = problem
        self._try(self._consider)
        if not self.problem:
            self._try(self._notify)

    def _notify(self, engine: Engine) -> None:
        """Send the notifications that are due, also of fires that were not started and of runs without a client."""
        if engine.stack.notifications:
            from twelfth.runs.notifications import deliver_due

            deliver_due(engine, self.around.now(), self.around.say, seconds=SECONDS_TO_NOTIFY)

    def _try(self, action: Callable[[Engine], None]) -> None:
        try:
            action(self.around.connect())
        except TwelfthError as error:
            if str(error) != self.problem:
                self.around.say(str(error))
            self.problem = str(error)
        else:
            self.problem = ""

    def _consider(self, engine: Engine) -> None:
        now, heartbeats = self.around.now(), heartbeat.read(engine.state)
        moments = [*(beat.until for beat in heartbeats), *filter(None, [self.until])]
        after = heartbeat.considered(moments, now) or now
        decision = decide(self.jobs, after, now, self.around.machine)
        self._settle(engine)
        if self.checked is None or now >= self.checked + CHECK_EVERY:
            self.checked = now
            self._abandon(engine, heartbeats, now)
        pending = self._handle(engine, decision, heartbeats, now)
        self.until = max(after, min(pending, default=now + MINUTE) - MINUTE)
        heartbeat.write(engine.state, Heartbeat(self.around.host, now, self.until))

    def _handle(
        self, engine: Engine, decision: Decision, heartbeats: Iterable[Heartbeat], now: datetime
    ) -> list[datetime]:
        """Start and record fires; return the minutes of those that another scheduler has claimed and not recorded."""
        fires = [*decision.start, *decision.missed]
        if not fires:
            return []
        self.claimed = {fire for fire in self.claimed if fire.minute > now - LATE}
        new = {fire for fire in decision.start if fire not in self.claimed and engine.state.claim(fire.name)}
        self.claimed |= new
        known = self._recorded(engine, fires)  # after the claims: they can be pruned, records cannot
        for fire, concurrency in decision.start.items():
            if self.around.now() >= now + MINUTE:  # after such a delay, another scheduler may have recorded it
                known = self._recorded(self.around.connect(), fires)
            if fire in self.claimed - known:
                self._begin(engine, fire, concurrency, now)
        taken = decision.start.keys() - self.claimed - known
        reasons = {fire: self._why_missed(decision, fire) for fire in decision.missed if fire not in known}
        # If no scheduler has looked since a fire was due, another one may be about to record it now.
        looked = heartbeat.considered((beat.at for beat in heartbeats), now) or now
        reasons |= {fire: _CLAIMED for fire in taken if fire.minute <= min(now - LATE, looked)}
        ends = [
            self._record(engine, fire, now).ended(NOT_STARTED, now, _due(fire, why)) for fire, why in reasons.items()
        ]
        if ends:
            Ledger(engine.state).start(*ends)
        if new:
            engine.state.forget_claims(expired(engine.state.claims(), now))
        return [fire.minute for fire in taken if fire not in reasons]

    def _why_missed(self, decision: Decision, fire: DueFire) -> str:
        why = f"missed: {self.problem or 'no scheduler considered it in time'}"
        earlier = decision.unrecorded.get(fire.job)
        is_first = fire == next(missed for missed in decision.missed if missed.job == fire.job)
        return f"{why}; {earlier} earlier fires were missed, too" if earlier and is_first else why

    def _recorded(self, engine: Engine, fires: Collection[DueFire]) -> set[DueFire]:
        """Return the fires that are in the ledger."""
        ids = {fire.run_id(engine.stack.project): fire for fire in fires}
        first = min(fire.minute for fire in fires)
        return {ids[record.id] for record in _since(engine, first) if record.id in ids}

    def _begin(self, engine: Engine, due: DueFire, concurrency: str, now: datetime) -> None:
        fire = Fire(due.job, due.run_id(engine.stack.project), concurrency)
        record, current = self._record(engine, due, now), self.running.get(due.job)
        refusal = ""
        if current and concurrency == FORBID:
            refusal = f"run {current} of {due.job} is in progress"
        elif current and len(self.waiting[due.job]) >= WAITING:
            refusal = f"{WAITING} fires of {due.job} already wait for run {current}"
        if refusal:
            Ledger(engine.state).start(record.ended(NOT_STARTED, now, _due(due, refusal)))
            return
        try:
            self.around.processes.reserve(fire.run_id)
        except OSError as error:
            Ledger(engine.state).start(record.ended(NOT_STARTED, now, _no_process(error)))
            return
        try:
            Ledger(engine.state).start(record)
        except TwelfthError:
            self.around.processes.release(fire.run_id)
            raise
        if current:
            self.waiting[due.job].append(fire)
        else:
            self._start(engine, fire)

    def _start(self, engine: Engine, fire: Fire) -> None:
        try:
            self.around.processes.start(fire)
        except OSError as error:
            self._complete(engine, fire.run_id, Exit(1, _no_process(error)))
            self.around.processes.release(fire.run_id)
        else:
            self.running[fire.job] = fire.run_id
            self.around.say(f"{fire.job}: run {fire.run_id}")

    def _settle(self, engine: Engine) -> None:
        """Complete the records of fires whose processes have exited, and start those that wait for them."""
        for run_id, end in self.around.processes.ended().items():
            self._complete(self.around.connect(), run_id, end)
            self.around.processes.release(run_id)
            for job in [job for job, current in self.running.items() if current == run_id]:
                del self.running[job]
                while self.waiting[job] and job not in self.running:
                    self._start_next(engine, self.waiting[job].popleft())

    def _start_next(self, engine: Engine, fire: Fire) -> None:
        # While this machine slept, another scheduler may have recorded that the fire was not started.
        record = _record_of(self.around.connect(), fire.run_id)
        if record and record.state == CREATED:
            self._start(engine, fire)
        else:
            self.around.processes.release(fire.run_id)

    def _complete(self, engine: Engine, run_id: str, end: Exit) -> None:
        """Record that a fire did not start, unless its process has started the run; record a later failure, too."""
        now, record = self.around.now(), _record_of(engine, run_id)
        run = next(iter(engine.runs.records([run_id])), None)
        if record and record.state == CREATED:
            record = of_run(run) if run else record
        if record and record.state == CREATED and not run:
            Ledger(engine.state).end([record.ended(NOT_STARTED, now, end.error)])
            self.around.say(f"{record.job}: not started: {end.error}")
        elif record and record.state == DONE and end.code:  # such as a backup whose file cannot be written
            due = Delivery(next=now.isoformat())  # its success may have been reported
            failed = replace(record, state=FAILED, error=end.error, notified=due if record.notify else None)
            Ledger(engine.state).end_and_notify(failed)
            self.around.say(f"{record.job}: failed after its run: {end.error}")

    def _abandon(self, engine: Engine, heartbeats: Iterable[Heartbeat], now: datetime) -> None:
        """Complete the records of fires whose scheduler was killed before it started them."""
        alive = {beat.host for beat in heartbeats if now - beat.at <= LATE} - {self.around.host}
        mine = {*self.running.values(), *(fire.run_id for fires in self.waiting.values() for fire in fires)}
        abandoned = [
            record
            for record in _since(engine, now - SEARCHED)
            if (record.trigger, record.state) == (SCHEDULE, CREATED)
            and record.moment <= now - LATE
            and record.id not in mine
            and not (record.host in alive or self.around.processes.is_alive(record.id))
        ]
        if abandoned:
            later = self.around.connect()  # a run may have been started, and may have ended, in the meantime
            runs, why = later.runs.ids(), "the scheduler was killed before the run started"
            ends = [record.ended(NOT_STARTED, now, why) for record in abandoned if record.id not in runs]
            Ledger(later.state).complete(ends)

    def _record(self, engine: Engine, fire: DueFire, now: datetime) -> Record:
        job = next(job for job in self.jobs if job.name == fire.job)
        return Record(
            id=fire.run_id(engine.stack.project),
            kind="run",
            operator=operator(),
            engine=engine.name,
            started=now.isoformat(),
            host=self.around.host,
            trigger=SCHEDULE,
            command=job.command or (job.name,),
            job=job.name,
            state=CREATED,
            notify=engine.stack.notify_on(job.name),
        )


def _due(fire: DueFire, why: str) -> str:
    return f"due at {fire.minute:%Y-%m-%d %H:%M} UTC, {why}"


def _no_process(error: OSError) -> str:
    return f"cannot start its process: {error.strerror}"


def _record_of(engine: Engine, run_id: str) -> Record | None:
    pages = (page.records for page in Ledger(engine.state).pages())
    return next((records[run_id] for records in pages if run_id in records), None)


def _since(engine: Engine, moment: datetime) -> list[Record]:
    """Return the records of the latest pages of the ledger, back to the first page that has one from long before."""
    records: dict[str, Record] = {}
    for page in Ledger(engine.state).pages():
        records = {**page.records, **records}
        if any(page.records[name].moment < moment - heartbeat.WRONG for name in page.started & page.records.keys()):
            break
    return [*records.values()]
