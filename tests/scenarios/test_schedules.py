"""Two schedulers of one stack, with a simulated minute per second, while everything fails around them.

They are killed with -9 at random moments, the daemon is killed and restarted, and releases are deployed and rolled
back. Each run writes its id to a file, so starts are counted without any record: none of the due fires is started
twice, and none is lost without a record.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import docker
import pytest

from tests import daemon, tiny_image
from tests.conftest import ROOT
from tests.forks import FORKS
from tests.sample import FULL
from twelfth.engines import choice
from twelfth.errors import TwelfthError
from twelfth.model.record import NOT_STARTED, UNKNOWN
from twelfth.runs.history import Query, history
from twelfth.schedule import heartbeat
from twelfth.schedule.child import Processes
from twelfth.schedule.fires import DueFire, due
from twelfth.schedule.heartbeat import Heartbeat
from twelfth.schedule.scheduler import Scheduler, Surroundings
from twelfth.stack.load import load_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from twelfth.engines.contract import Engine
    from twelfth.model.record import Record

pytestmark = pytest.mark.measures

MINUTES = 330 if FULL else 8
"""Simulated minutes, and seconds: with 200 fires in all, and with a few in the sample."""

KILLS = 20 if FULL else 3
DEPLOYS = 12 if FULL else 2
SEED = 22
SETTLED_WITHIN = 60.0
"""Seconds after which each fire must have ended, or be recorded as not started."""

SETTLED_CHECKS = 4
"""Checks in a row, two a second: a slow scheduler may start what another one has just recorded as claimed only."""

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=7)
"""The simulated time catches up with that of the runs, and does not overtake it."""

COMPOSE = """
name: NAME
services:
  app:
    build: .
    network_mode: none
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    restart: always
    stop_grace_period: 1s
    volumes: ["STARTS:STARTS"]
    deploy: {update_config: {monitor: 200ms}}
    x-local: {command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]}
x-jobs:
  even:
    profiles: [jobs]
    command: &run [sh, -c, "echo $$TWELFTH_RUN >>STARTS/runs"]
    triggers: {schedule: ["*/4 * * * *"]}
  queued: {profiles: [jobs], command: *run, triggers: {schedule: [{cron: "2-59/4 * * * *", concurrency: queue}]}}
  skipping: {profiles: [jobs], command: *run, triggers: {schedule: [{cron: "1-59/8 * * * *", missed_fires: skip}]}}
"""


@dataclass
class Site:
    """A stack in a directory, its schedulers, and a clock that began when the site was made."""

    directory: Path
    engine_name: str
    environment: dict[str, str]
    own: daemon.Daemon | None = None
    start: datetime = START
    began: float = field(default_factory=time.time)
    clients: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def now(self) -> datetime:
        """Return the simulated time."""
        return self.start + timedelta(minutes=time.time() - self.began)

    def engine(self) -> Engine:
        """Return the engine, as another process would have it."""
        return choice.choose(self.engine_name, load_stack(self.directory, os.environ))

    def type(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command as an operator does."""
        command = [sys.executable, "-P", "-m", "twelfth", *words]
        with (self.directory.parent / "commands").open("ab") as log:
            # Without the jobs, `up` starts no scheduler on local: that has the clock of the machine.
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "COMPOSE_PROFILES": ""}
            client = subprocess.Popen(command, cwd=self.directory, env=environment, stdout=log, stderr=log)
        self.clients.append(client)
        return client

    def deploy(self, number: int) -> None:
        """Start to deploy another release, or to go back to the one before."""
        if number % 3 == 2:
            self.type("rollback")
        else:
            (self.directory / "version").write_text(f"{number}\n", "utf-8")
            self.type("up")

    def scheduler(self) -> BaseProcess:
        """Start a scheduler."""
        words = (self.directory, self.engine_name, self.start, self.began, dict(os.environ))
        process = FORKS.Process(target=_schedule, args=words)
        process.start()
        return process

    def restart_daemon(self) -> None:
        """Kill the daemon and start it again."""
        if self.own:
            self.own.end(signal.SIGKILL)
            self.own.start()

    def starts(self) -> list[str]:
        """Return the ids of the runs that were started, as they have written them."""
        runs = self.directory.parent / "starts" / "runs"
        return runs.read_text("utf-8").split() if runs.exists() else []

    def records(self) -> dict[str, Record]:
        """Return the records of runs by id; none while the daemon does not answer."""
        with contextlib.suppress(TwelfthError):
            return {record.id: record for record in history(self.engine(), Query()) if record.job}
        return {}

    def due(self, until: datetime) -> dict[str, DueFire]:
        """Return the fires that were due, by the ids of their runs."""
        stack = load_stack(self.directory, os.environ)
        fires = [
            DueFire(job.name, minute)
            for job in stack.jobs
            for schedule in job.schedules
            for minute in due(schedule, START, until, UTC)
        ]
        return {fire.run_id(stack.project): fire for fire in fires}


def _schedule(directory: Path, engine_name: str, start: datetime, began: float, environment: dict[str, str]) -> None:
    """Run a scheduler whose minutes last a second."""
    os.environ.update(environment)
    site, has_exited = Site(directory, engine_name, environment, start=start, began=began), threading.Event()
    stack = load_stack(directory, os.environ)

    def wait(seconds: float) -> None:
        has_exited.wait(seconds / 60)
        has_exited.clear()

    log = (directory.parent / f"scheduler-{os.getpid()}").open("a", encoding="utf-8")
    around = Surroundings(
        now=site.now,
        wait=wait,
        load=lambda: stack.jobs,
        connect=lambda: choice.choose(engine_name, stack),
        processes=Processes(directory, has_exited.set),
        say=lambda line: print(site.now(), line, file=log, flush=True),
        host="here",
        machine=UTC,
    )
    Scheduler(around).run()


@pytest.fixture(params=["docker", "local"])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return a stack that is up, on a private daemon or as processes."""
    for name in ("project", "starts", "state"):
        (tmp_path / name).mkdir(mode=0o777)
    directory = tmp_path / "project"
    text = COMPOSE.replace("NAME", f"t{os.getpid()}").replace("STARTS", str(tmp_path / "starts"))
    (directory / "compose.yaml").write_text(text, "utf-8")
    (directory / "Dockerfile").write_text("FROM tiny:1\nCOPY version /\n", "utf-8")
    (directory / "version").write_text("first\n", "utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("INVOKE_ENGINE", request.param)
    monkeypatch.setenv("COMPOSE_PROFILES", "jobs")
    with contextlib.ExitStack() as stack:
        own = None
        if request.param == "docker":
            own = stack.enter_context(daemon.daemon())
            monkeypatch.setenv("DOCKER_HOST", own.url)
            with contextlib.closing(docker.APIClient(own.url)) as api:
                tiny_image.put(api, "tiny:1")
        site = Site(directory, request.param, dict(os.environ), own)
        try:
            assert site.type("up").wait(120) == 0, (tmp_path / "commands").read_text("utf-8")
            site.began = time.time()
            heartbeat.write(site.engine().state, Heartbeat("before", START, START))
            yield site
        finally:
            for client in site.clients:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    client.wait(60)
            site.type("down", "--volumes", "--history", "--yes").wait(120)


def disturb(site: Site) -> list[BaseProcess]:
    """Do what can go wrong at moments from a fixed seed, until the time is over; return the schedulers."""
    chance = random.Random(SEED)  # noqa: S311 - moments for a test
    end = 0.8 * MINUTES
    events: list[tuple[float, Callable[[], object]]] = []
    schedulers = [site.scheduler(), site.scheduler()]

    def kill() -> None:
        number = chance.randrange(len(schedulers))
        schedulers[number].kill()
        schedulers[number].join()
        schedulers[number] = site.scheduler()

    events += [(chance.uniform(1, end), kill) for _ in range(KILLS)]
    events += [(chance.uniform(1, end), lambda number=number: site.deploy(number)) for number in range(DEPLOYS)]  # type: ignore[misc]
    events.append((0.6 * end, site.restart_daemon))
    for moment, event in sorted(events, key=lambda pair: pair[0]):
        time.sleep(max(0.0, site.began + moment - time.time()))
        event()
    time.sleep(max(0.0, site.began + MINUTES - time.time()))
    return schedulers


def is_complete(due_fires: Iterable[str], records: Mapping[str, Record]) -> bool:
    """Return whether each due fire has a record of its end; a run that has not started looks as if it was unknown."""
    ends = [records.get(name) for name in due_fires]
    return all(record and record.has_ended and (record.finished or record.state != UNKNOWN) for record in ends)


@pytest.mark.sampled_on("docker")
def test_each_due_fire_is_started_once_or_recorded(site: Site, tell: Callable[[str], None]) -> None:
    """Whatever fails; the number of fires that were started is shown."""
    schedulers = disturb(site)
    due_fires = site.due(START + timedelta(minutes=MINUTES))

    deadline, checks = time.monotonic() + SETTLED_WITHIN, 0
    while time.monotonic() < deadline and checks < SETTLED_CHECKS:
        checks = checks + 1 if is_complete(due_fires, site.records()) else 0
        time.sleep(0.5)
    for scheduler in schedulers:
        scheduler.terminate()
        scheduler.join()
    records, starts = site.records(), site.starts()
    states = Counter(records[name].state if name in records else "no record" for name in due_fires)
    errors = [records[name].error for name in due_fires if name in records]
    reasons = Counter(re.sub(r"due at .* UTC, |[0-9a-f]{8}", "", error)[:70] for error in errors)
    tell(f"schedules, {site.engine_name}: {len(due_fires)} due, {len(starts)} started, {dict(states)}")
    for reason, number in reasons.most_common(8):
        tell(f"  {number:4} {reason or '-'}")

    assert [] == [name for name, number in Counter(starts).items() if number > 1]
    assert set() == due_fires.keys() - records.keys()
    assert [] == [record for record in map(records.__getitem__, due_fires) if not is_complete([record.id], records)]
    assert set(starts) <= records.keys()
    assert [] == [records[name] for name in starts if records[name].state == NOT_STARTED]
    assert len(starts) > len(due_fires) / (3 if FULL else 10)
