"""The scheduler with a simulated clock, on the engine in memory: each due fire starts a run once, or is recorded."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.memory_engine import Memory, MemoryState, World
from twelfth.errors import EngineError
from twelfth.model.job import Changes, Job, Notify, Schedule
from twelfth.model.record import NOT_STARTED, Delivery, from_json
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.runs.ledger import Ledger
from twelfth.schedule import heartbeat
from twelfth.schedule.decision import KEPT, RECORDED, expired
from twelfth.schedule.fires import DueFire, due
from twelfth.schedule.scheduler import WAITING, Exit, Scheduler, Surroundings

if TYPE_CHECKING:
    from twelfth.model.record import Record
    from twelfth.runs.fire import Fire

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class KilledError(BaseException):
    """The scheduler is killed: no handler of it runs."""


@dataclass
class Machine:
    """The processes of all schedulers of one machine."""

    started: list[Fire] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    exited: dict[str, Exit] = field(default_factory=dict)
    failure: OSError | None = None
    is_full: bool = False

    def reserve(self, run_id: str) -> None:
        """Show that the process of a fire will be started here."""
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.alive.add(run_id)

    def is_alive(self, run_id: str) -> bool:
        """Return whether a process of this machine has the fire."""
        return run_id in self.alive

    def start(self, fire: Fire) -> None:
        """Start the process of a fire."""
        if self.failure:
            raise self.failure
        self.started.append(fire)

    def ended(self) -> dict[str, Exit]:
        """Return the fires whose processes have exited."""
        return dict(self.exited)

    def release(self, run_id: str) -> None:
        """Forget a fire."""
        self.alive.discard(run_id)
        self.exited.pop(run_id, None)


def job(name: str, *schedules: Schedule) -> Job:
    """Return a job with schedules."""
    return Job(name, Changes(Service(name, image="x", command=("do", name))), schedules=schedules)


EVERY_MINUTE = Schedule("* * * * *", "UTC")


class Site:
    """A stack with schedulers on one machine, and a clock that tests set."""

    def __init__(self, *jobs: Job) -> None:
        """Start at noon."""
        self.world, self.machine, self.now, self.jobs = World(), Machine(), NOON, jobs
        self.unreachable = ""
        self.notify: Notify | None = None

    def scheduler(self, host: str = "here") -> Scheduler:
        """Return a new scheduler, as after a start of its process."""
        around = Surroundings(
            now=lambda: self.now,
            wait=lambda _: None,
            load=lambda: self.jobs,
            connect=self.connect,
            processes=self.machine,
            say=lambda _: None,
            host=host,
            machine=UTC,
        )
        return Scheduler(around)

    def connect(self) -> Memory:
        """Return the engine, as another process would have it."""
        if self.unreachable:
            raise EngineError(self.unreachable)
        return Memory(Stack("shop", Path(), (), notify=self.notify), self.world)

    def tick(self, scheduler: Scheduler, *, after: timedelta = MINUTE) -> None:
        """Let time pass, and a scheduler look at the clock."""
        self.now += after
        scheduler.tick()

    def records(self) -> list[Record]:
        """Return all records, the oldest first."""
        pages = [page.records for page in Ledger(self.connect().state).pages()]
        return sorted((record for page in pages for record in page.values()), key=lambda record: record.moment)

    def starts(self) -> list[str]:
        """Return the ids of the runs whose processes were started."""
        return [fire.run_id for fire in self.machine.started]

    def exit_all(self, error: str = "") -> None:
        """Let all processes that were started exit; without an error, their runs were started and are done."""
        for fire in self.machine.started:
            if fire.run_id in self.machine.alive and fire.run_id not in self.machine.exited:
                self.machine.exited[fire.run_id] = Exit(bool(error), error)
                if not error:
                    [content] = [
                        file for path, file in self.world.files.items() if path.endswith(f"{fire.run_id}.json")
                    ]
                    record = from_json(content)
                    assert record
                    Ledger(self.connect().state).end([record.ended("done", self.now)])


def test_fire_is_started_once_by_several_schedulers() -> None:
    """Its record names the schedule, the job and its command."""
    site = Site(job("nightly", EVERY_MINUTE))
    schedulers = [site.scheduler(), site.scheduler("there"), site.scheduler("elsewhere")]
    for scheduler in schedulers:
        site.tick(scheduler, after=timedelta())
    site.now += MINUTE
    for scheduler in schedulers * 2:
        site.tick(scheduler, after=timedelta(seconds=1))

    [record] = site.records()
    assert [record.id] == site.starts() == [DueFire("nightly", NOON + MINUTE).run_id("shop")]
    assert ("schedule", "nightly", ("do", "nightly"), "created") == (
        record.trigger,
        record.job,
        record.command,
        record.state,
    )


def test_pruned_claim_does_not_start_a_fire_again() -> None:
    """The ledger has it."""
    site = Site(job("nightly", EVERY_MINUTE))
    first, second = site.scheduler(), site.scheduler("there")
    for scheduler in (first, second):
        site.tick(scheduler, after=timedelta())
    site.tick(first)
    site.connect().state.forget_claims(site.world.claims.copy())
    heartbeat.forget(site.connect().state)
    site.tick(second, after=timedelta())

    assert 1 == len(site.starts())


@pytest.mark.parametrize(("policy", "starts"), [("one", 1), ("skip", 0)])
def test_missed_fires(policy: str, starts: int) -> None:
    """After sleep the last one is made up for, or none; the others are recorded."""
    site = Site(job("hourly", Schedule("30 * * * *", "UTC", missed_fires=policy)))
    site.tick(site.scheduler())
    scheduler = site.scheduler()
    site.tick(scheduler, after=timedelta(hours=3))
    site.tick(scheduler)

    missed = [record for record in site.records() if record.state == NOT_STARTED]
    assert (starts, 3 - starts) == (len(site.starts()), len(missed))
    assert "due at 2026-07-01 12:30 UTC, missed: no scheduler considered it in time" == missed[0].error


def test_many_missed_fires_are_counted() -> None:
    """Each of the last ones has a record, and the first of these has the number of those before."""
    site = Site(job("often", Schedule("* * * * *", "UTC", missed_fires="skip")))
    site.tick(site.scheduler(), after=timedelta())
    site.tick(site.scheduler(), after=timedelta(hours=5))

    records = site.records()
    assert (RECORDED + 3, 1) == (len(records), len(site.starts()))  # three are on time, and one of these is in progress
    notes = [record.error for record in records if "earlier" in record.error]
    assert [
        "due at 2026-07-01 15:18 UTC, missed: no scheduler considered it in time; 197 earlier fires were missed, too"
    ] == notes


def test_unreachable_daemon_is_the_reason() -> None:
    """A fire that was due meanwhile is recorded as soon as it answers."""
    site = Site(job("nightly", Schedule("5 12 * * *", "UTC", missed_fires="skip")))
    scheduler = site.scheduler()
    site.tick(scheduler)
    site.unreachable = "no daemon answers"
    for _ in range(10):
        site.tick(scheduler)
    site.unreachable = ""
    site.tick(scheduler)

    [record] = site.records()
    assert (NOT_STARTED, "due at 2026-07-01 12:05 UTC, missed: no daemon answers") == (record.state, record.error)


def test_run_in_progress_forbids_the_next() -> None:
    """Which is recorded with its id, and the one after it is started."""
    site = Site(job("often", EVERY_MINUTE))
    scheduler = site.scheduler()
    for _ in range(3):
        site.tick(scheduler)
    first = site.starts()[0]
    site.exit_all()
    site.tick(scheduler)

    [error] = [record.error for record in site.records() if record.error]
    assert error.startswith("due at 2026-07-01 12:0")
    assert error.endswith(f" UTC, run {first} of often is in progress")
    assert ["done", NOT_STARTED, "created"] == [record.state for record in site.records()]


def test_queue_waits_for_one_at_a_time_and_has_an_end() -> None:
    """Later fires are not started."""
    site = Site(job("often", Schedule("* * * * *", "UTC", concurrency="queue")))
    scheduler = site.scheduler()
    for _ in range(WAITING + 3):
        site.tick(scheduler)
    assert 1 == len(site.starts())
    [error] = [record.error for record in site.records() if record.error]
    assert error.endswith(f" UTC, 10 fires of often already wait for run {site.starts()[0]}")
    for number in range(1, 4):
        assert number == len(site.starts())
        site.exit_all()
        scheduler.tick()
    assert [record.id for record in site.records()][:4] == site.starts()


@pytest.mark.parametrize("failure", ["", "cannot start its process: No such file or directory"])
def test_fire_that_started_no_run_has_the_reason(failure: str) -> None:
    """The last line of its process, or why that could not be started."""
    site = Site(job("often", EVERY_MINUTE))
    scheduler = site.scheduler()
    site.machine.failure = FileNotFoundError(2, "No such file or directory") if failure else None
    site.tick(scheduler, after=timedelta())
    site.tick(scheduler)
    site.exit_all("no worker runs")
    scheduler.tick()

    [record] = site.records()
    assert (NOT_STARTED, failure or "no worker runs") == (record.state, record.error)
    assert set() == site.machine.alive


def test_full_disk_is_the_reason() -> None:
    """The scheduler continues."""
    site = Site(job("often", EVERY_MINUTE))
    scheduler = site.scheduler()
    site.machine.is_full = True
    site.tick(scheduler, after=timedelta())
    site.tick(scheduler)
    site.machine.is_full = False
    site.tick(scheduler)

    assert [NOT_STARTED, "created"] == [record.state for record in site.records()]
    assert "cannot start its process: No space left on device" == site.records()[0].error


@pytest.mark.parametrize("on", ["failure", "always"])
def test_work_after_the_run_can_fail(on: str, tmp_path: Path) -> None:
    """Such as the verification of a backup; it is reported, also if the success of the run was."""
    site = Site(job("backup", Schedule("1 12 * * *", "UTC")))
    site.notify = Notify(on, command=("sh", "-c", f"cat >>{tmp_path}/reports"))
    scheduler = site.scheduler()
    site.tick(scheduler, after=timedelta())
    site.tick(scheduler)
    site.exit_all()
    if on == "always":
        [record] = site.records()
        Ledger(site.connect().state).notify([replace(record, notified=Delivery(1, delivered="x"))])
    [run_id] = site.starts()
    site.machine.exited[run_id] = Exit(1, "the backup has no end")
    for _ in range(3):
        site.tick(scheduler)

    [record] = site.records()
    assert ("failed", "the backup has no end") == (record.state, record.error)
    reports = (tmp_path / "reports").read_text()
    assert (1, 1) == (reports.count('"state": "failed"'), reports.count("the backup has no end"))


def test_fire_that_another_scheduler_is_about_to_record_is_left_alone() -> None:
    """After an outage, all schedulers make up for missed fires at the same moment."""
    site = Site(job("hourly", Schedule("0 * * * *", "UTC")))
    scheduler = site.scheduler()
    site.tick(scheduler)
    site.now = NOON + timedelta(minutes=90)
    site.connect().state.claim(DueFire("hourly", NOON + timedelta(hours=1)).name)
    scheduler.tick()
    assert [] == site.records()
    site.tick(scheduler)
    assert [NOT_STARTED] == [record.state for record in site.records()]


def test_fire_that_is_about_to_start_is_not_abandoned() -> None:
    """A scheduler of another user on this machine cannot see its process."""
    site = Site(job("often", EVERY_MINUTE))
    site.tick(site.scheduler(), after=timedelta())
    site.tick(site.scheduler())
    site.machine.alive.clear()
    site.scheduler().tick()
    assert ["created"] == [record.state for record in site.records()]


def test_fire_that_waited_while_its_machine_slept_is_not_started() -> None:
    """Another scheduler has recorded that meanwhile."""
    site = Site(job("often", Schedule("* * * * *", "UTC", concurrency="queue")))
    sleeper, other = site.scheduler(), site.scheduler("there")
    site.tick(sleeper, after=timedelta())
    for _ in range(2):
        site.tick(sleeper)
    first, second = site.records()
    site.jobs = ()
    site.machine.alive.clear()  # as the other machine sees it
    for _ in range(10):
        site.tick(other)
    assert NOT_STARTED == site.records()[1].state
    site.machine.exited[first.id] = Exit(0, "")
    site.tick(sleeper)

    assert [first.id] == site.starts()
    assert (NOT_STARTED, set()) == (site.records()[1].state, site.machine.alive)
    assert second.id == site.records()[1].id


def test_fire_is_not_started_after_a_long_delay() -> None:
    """The machine may have slept after its claim; another scheduler has recorded that by now."""
    site = Site(job("first", Schedule("1 12 * * *", "UTC")), job("second", Schedule("1 12 * * *", "UTC")))
    sleeper, other = site.scheduler(), site.scheduler("there")
    site.tick(sleeper, after=timedelta())

    def sleep(_: str) -> None:  # after the start of the first one
        for _minute in range(10):
            site.tick(other)

    sleeper.around.say = sleep
    site.tick(sleeper)
    assert (1, ["created", NOT_STARTED]) == (len(site.starts()), [record.state for record in site.records()])


def test_unreadable_file_leaves_the_jobs_of_before() -> None:
    """It may be incomplete while it is edited."""
    site = Site(job("often", EVERY_MINUTE))
    scheduler = site.scheduler()
    site.tick(scheduler)
    said: list[str] = []

    def fail() -> tuple[Job, ...]:
        raise EngineError("it is empty")

    scheduler.around.load, scheduler.around.say = fail, said.append
    for _ in range(2):
        site.tick(scheduler)

    assert 2 == len(site.records())
    assert ["it is empty; the previous jobs stay in use"] == [line for line in said if "empty" in line]


def test_fire_that_was_not_started_is_reported(tmp_path: Path) -> None:
    """Also one that was missed; the scheduler repeats attempts that failed."""
    site = Site(job("nightly", Schedule("5 12 * * *", "UTC", missed_fires="skip")))
    site.notify = Notify(command=("sh", "-c", f"cat >>{tmp_path}/reports && test -e {tmp_path}/repaired"))
    scheduler = site.scheduler()
    site.tick(scheduler)
    site.tick(scheduler, after=timedelta(hours=1))
    (tmp_path / "repaired").touch()
    for _ in range(3):
        site.tick(scheduler, after=timedelta(hours=1))

    assert 2 == (tmp_path / "reports").read_text().count(f'"id": "{site.records()[0].id}", "kind": "run"')


OPERATIONS = ("claim", "add", "write", "forget_claims")
"""What a scheduler does to the state."""


def kill_at(patch: pytest.MonkeyPatch, number: int, *, after: bool) -> None:
    """Kill the process before or after one of its operations."""
    numbers = itertools.count()

    def killing(name: str) -> None:
        operation = getattr(MemoryState, name)

        def killed(state: MemoryState, *words: object) -> object:
            is_last = next(numbers) == number
            if is_last and not after:
                raise KilledError
            result = operation(state, *words)
            if is_last:
                raise KilledError
            return result

        patch.setattr(MemoryState, name, killed)

    for name in OPERATIONS:
        killing(name)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("number", range(6))
def test_killed_scheduler_loses_and_repeats_nothing(number: int, other: bool, after: bool) -> None:  # noqa: FBT001
    """At any of its operations; what it has claimed or recorded and not started is never started."""
    site = Site(job("nightly", Schedule("5 12 * * *", "UTC")))
    site.tick(site.scheduler())
    survivor = site.scheduler("there")
    victim = site.scheduler()
    site.now = NOON + 5 * MINUTE
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number, after=after)
        try:
            victim.tick()
        except KilledError:
            site.machine.alive &= set(site.starts())  # the kernel unlocks what only it had locked
    starts = len(site.starts())
    is_claimed = bool(site.world.claims)
    for _ in range(20):
        site.tick(survivor if other else site.scheduler())
        site.exit_all()

    [record] = site.records()
    assert len(site.starts()) == (starts if is_claimed else 1)
    assert record.state == ("done" if site.starts() else NOT_STARTED)
    assert ("killed" in record.error) == (not site.starts())


def test_fire_whose_process_is_alive_is_left_alone() -> None:
    """It may wait for a deploy; the scheduler that has started it was killed, or is on another host."""
    site = Site(job("nightly", Schedule("5 12 * * *", "UTC")))
    other, local = site.scheduler("there"), site.scheduler()
    site.now = NOON + 4 * MINUTE
    for scheduler in (other, local):
        scheduler.tick()
    site.tick(other)
    site.machine.alive.clear()  # as this machine sees it
    for _ in range(10):
        site.tick(other)
        local.tick()
    assert ["created"] == [record.state for record in site.records()]
    for _ in range(10):
        site.tick(local)
    [record] = site.records()
    assert (NOT_STARTED, "the scheduler was killed before the run started") == (record.state, record.error)


def test_clock_that_was_wrong_does_not_stop_the_schedule() -> None:
    """A heartbeat from far ahead is ignored."""
    site = Site(job("often", EVERY_MINUTE))
    site.now = NOON + timedelta(days=400)
    site.scheduler("wrong").tick()
    site.now = NOON
    scheduler = site.scheduler()
    site.tick(scheduler)
    site.tick(scheduler)
    site.tick(scheduler, after=-5 * MINUTE)

    assert 1 == len(site.starts())
    site.tick(scheduler, after=6 * MINUTE)
    assert 2 == len(site.records())


def test_claims_are_kept_for_the_last_fires_of_a_job() -> None:
    """And no longer than a missed fire can be made up for."""
    names = [DueFire("often", NOON - number * MINUTE).name for number in range(KEPT + 2)]
    old, young = (DueFire("daily", NOON - timedelta(days=days)).name for days in (9, 7))

    assert {*names[KEPT:], old} == set(expired([*names, old, young, "other"], NOON))


def test_year_of_fires_with_sleep_and_restarts() -> None:
    """In three time zones: each fire was started once, or is recorded as missed; the last missed one is made up for."""
    jobs = (
        job("berlin", Schedule("30 2 * * 0,3,5", "Europe/Berlin")),
        job("newyork", Schedule("30 2 * * 0", "America/New_York", missed_fires="skip")),
        job("apia", Schedule("15 4 * * 1", "Pacific/Apia", "queue"), Schedule("0 0 29 2 *", "Pacific/Apia")),
    )
    start, end = datetime(2028, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
    fires = {
        DueFire(job.name, minute): schedule
        for job in jobs
        for schedule in job.schedules
        for minute in due(schedule, start, end, UTC)
    }
    chance, site = random.Random(22), Site(*jobs)  # noqa: S311 - moments for a test
    site.now = asleep_until = start
    scheduler = site.scheduler()
    scheduler.tick()
    missed = set()
    for fire in sorted(fires, key=lambda fire: fire.minute):
        if fire.minute <= asleep_until:
            missed.add(fire)
            continue
        is_asleep = chance.random() < 0.05
        asleep_until = site.now = fire.minute + timedelta(hours=chance.choice([1, 30, 80]) if is_asleep else 0)
        missed |= {fire} if is_asleep else set()
        scheduler = site.scheduler() if chance.random() < 0.1 else scheduler
        site.exit_all()
        scheduler.tick()

    records = {record.id: record for record in site.records()}
    assert records.keys() == {fire.run_id("shop") for fire in fires if fire.minute <= site.now}
    assert len(site.starts()) == len(set(site.starts()))
    not_started = {fire for fire in fires if records[fire.run_id("shop")].state == NOT_STARTED}
    assert not_started < missed
    assert {fire for fire in missed if fires[fire].missed_fires == "skip"} <= not_started
    made_up = missed - not_started
    assert 10 < len(made_up) < len(missed)
