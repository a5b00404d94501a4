"""The command schedule: start jobs when they are due, in the foreground; or show when that is."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from twelfth.cli.command import command, ended_by_ctrl_c, warn
from twelfth.cli.outputs import terminal_width
from twelfth.cli.target import Target
from twelfth.engines.local.presence import has_stack
from twelfth.errors import EngineError, MisuseError, TwelfthError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import tzinfo
    from pathlib import Path

    from invoke.context import Context

    from twelfth.engines.contract import Engine
    from twelfth.model.job import Job
    from twelfth.model.record import Record
    from twelfth.model.stack import Stack
    from twelfth.schedule.scheduler import Surroundings

READ_EVERY = 600.0
"""Seconds after which the Compose file is read again also if it seems unchanged: it may include others."""

SHOWN = 3
"""Next fires of each job that are shown."""


@command(
    help={
        "list": "Show the next fires and the last run of each job instead",
        "systemd": "Print a systemd unit that keeps the scheduler running instead",
    }
)
def schedule(c: Context, list: bool = False, json: bool = False, systemd: bool = False) -> None:  # noqa: A002 - an option
    """Start jobs when their schedules are due, until stopped."""
    from twelfth.schedule.place import machine_zone

    if json and not list:
        raise MisuseError("--json needs --list. Try: invoke schedule --list --json")
    target, machine = Target(c), machine_zone()
    if systemd:
        print(_unit(target), end="")
    elif list:
        _show(target, machine, as_json=json)
    elif c.config.run.dry:
        _show(target, machine)
    else:
        with ended_by_ctrl_c():
            _run(c, target, machine)


def _unit(target: Target) -> str:
    import getpass

    from twelfth.schedule.place import unit

    return unit(target.declared.project, target.directory.absolute(), getpass.getuser(), os.environ)


def _run(c: Context, target: Target, machine: tzinfo) -> None:
    from twelfth.schedule.scheduler import Scheduler

    stack = target.declared
    scheduled = [job.name for job in stack.jobs if job.schedules]
    if not scheduled:
        warn(f"no job of {stack.files[0].name} has a schedule yet; the file is read again when it changes")
    print(f"schedules of {stack.project}: {', '.join(scheduled) or 'none'}", flush=True)
    _report_others(target, machine)
    Scheduler(surroundings(c, stack, machine)).run()


def _report_others(target: Target, machine: tzinfo) -> None:
    from datetime import UTC, datetime

    from twelfth.schedule.heartbeat import LATE, read

    now = datetime.now(UTC)
    with contextlib.suppress(TwelfthError):  # the scheduler reports it
        for beat in read(target.engine().state):
            if now - beat.at <= LATE:
                active = f"a scheduler was active at {beat.at.astimezone(machine):%H:%M} on {beat.host}"
                print(f"{active}; if it still runs, each fire is started by one of them", flush=True)


def surroundings(c: Context, stack: Stack, machine: tzinfo) -> Surroundings:
    """Return what a scheduler of this machine uses."""
    from datetime import UTC, datetime

    from twelfth.schedule.child import Processes
    from twelfth.schedule.scheduler import Surroundings

    has_exited = threading.Event()

    def wait(seconds: float) -> None:
        has_exited.wait(seconds)
        has_exited.clear()

    warned = set[str]()

    def warn_once(line: str) -> None:
        if line not in warned:
            warned.add(line)
            warn(line)

    def connect() -> Engine:
        target = Target(c)
        target.warn = warn_once  # each minute makes another target
        engine = target.engine()
        if c.config.engine == "auto" and engine.name == "local" and not has_stack(engine.stack):
            # Without a daemon, `auto` chooses this engine: fires would be recorded where no one looks for them.
            remedy = "Try: invoke up, or: INVOKE_ENGINE=docker invoke schedule"
            raise EngineError(f"no Docker daemon is available, and {stack.project} is not up on local. {remedy}")
        return engine

    return Surroundings(
        now=lambda: datetime.now(UTC),
        wait=wait,
        load=jobs_of_file(stack),
        connect=connect,
        processes=Processes(stack.directory, has_exited.set),
        say=lambda line: print(line, flush=True),
        host=socket.gethostname(),
        machine=machine,
    )


def jobs_of_file(stack: Stack) -> Callable[[], Collection[Job]]:
    """Return a function that returns the jobs of the Compose file, which it reads again when that has changed."""
    from twelfth.stack.load import load_stack

    state, read, jobs = _state(stack), time.monotonic(), stack.jobs

    def load() -> Collection[Job]:
        nonlocal state, read, jobs
        if (current := _state(stack)) != state or time.monotonic() - read > READ_EVERY:
            jobs = load_stack(stack.directory, os.environ).jobs
            state, read = current, time.monotonic()
        return jobs

    return load


def _state(stack: Stack) -> list[tuple[int, int]]:
    return [_file_state(path) for path in (*stack.files, stack.directory / ".env")]


def _file_state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _show(target: Target, machine: tzinfo, *, as_json: bool = False) -> None:
    from datetime import UTC, datetime

    from twelfth.cli import schedule_view
    from twelfth.runs.history import latest_of_jobs
    from twelfth.schedule import heartbeat
    from twelfth.schedule.fires import upcoming

    now, engine = datetime.now(UTC), target.engine("declared")
    jobs = [job for job in engine.stack.jobs if job.schedules]
    records: dict[str, Record] = latest_of_jobs(engine, {job.name for job in jobs}) if jobs else {}
    plans = [schedule_view.Plan(job, upcoming(job, now, SHOWN, machine), records.get(job.name)) for job in jobs]
    print(
        schedule_view.as_json(plans, machine) if as_json else schedule_view.table(plans, now, machine, terminal_width())
    )
    remedy = "invoke up" if engine.keeps_scheduler else "invoke schedule"
    for line in heartbeat.warnings(jobs, heartbeat.read(engine.state), now, machine, remedy):
        warn(line)
