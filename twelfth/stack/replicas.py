"""Create, start, admit, stop and remove replicas of one service, and report what takes long or fails."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from twelfth.engines.lines import telling
from twelfth.errors import EngineError
from twelfth.model.service import SERVICE_HEALTHY
from twelfth.model.snapshot import Replica
from twelfth.stack import hooks
from twelfth.stack.at_once import Tasks
from twelfth.stack.draining import drained
from twelfth.stack.logs import last_lines
from twelfth.stack.readiness import (
    ASK_EVERY,
    FIX,
    GivenUpError,
    state,
    still_running,
    times,
    wait_for_services,
    wait_until_ready,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twelfth.engines.contract import ReplicaEngine
    from twelfth.model.service import Service
    from twelfth.stack.report import Report
    from twelfth.stack.steps import CreateReplica, StartReplica

RESTARTING = "restarting"
"""The state of a container that has exited and that Docker will start again, according to its restart policy."""

SLOW_SECONDS = 2.0
"""Seconds that a replica may take to stop before the delay is explained."""


@dataclass(frozen=True)
class Replicas:
    """The replicas of an engine, as one command changes them; `within` is `--ready-within` in seconds."""

    engine: ReplicaEngine
    report: Report
    within: float | None
    admitted: dict[str, float] = field(default_factory=dict)
    """The monotonic time of the last admission, by service."""
    hooked: set[str] = field(default_factory=set)
    """The ids of the replicas in which `post_start` was executed."""

    def create_all(self, steps: list[CreateReplica]) -> None:
        """Create replicas; if one cannot be created, remove the others, since none of them is ready yet."""
        tasks, created = Tasks(self.report.detail), list[Replica]()
        for service in {step.service.name: step.service for step in steps if not step.like}.values():
            self.wait_for_health(service)

        def create(step: CreateReplica) -> None:
            if tasks.is_given_up:
                return
            if step.like:
                created.append(new := self.engine.clone_replica(step.like, step.number))
            elif step.old:
                created.append(new := self.engine.prepare_replica(step.service, step.number, step.old))
                self.engine.start_replica(new)
            else:
                created.append(new := self.engine.create_replica(step.service, step.number))
            self.post_start(new)

        try:
            tasks.do([functools.partial(create, step) for step in steps])
        except EngineError:
            for replica in created:
                self.report.detail(f"Remove {replica.name} (not ready)")
            Tasks(self.report.detail).do(
                [functools.partial(self.engine.remove_replica, replica) for replica in created]
            )
            raise

    def post_start(self, replica: Replica, rest: str = "") -> None:
        """Execute the hooks of a replica that has started; `rest` is the end of an error: what is running then."""
        self.hooked.add(replica.id)
        try:
            hooks.post_start(self.engine, replica, self.report.detail)
        except EngineError as error:
            rest = rest or still_running(self.engine.replicas(replica.service), replica)
            raise EngineError(f"{error}; {rest}. {FIX}") from error

    def report_post_start(self, replica: Replica) -> None:
        """Execute the hooks of a restored replica; an error is only reported: the caller raises an earlier one."""
        try:
            hooks.post_start(self.engine, replica, self.report.detail)
        except EngineError as error:
            self.report.detail(str(error))

    def admit_all(self, service: Service, numbers: list[int]) -> None:
        """Admit each replica when it is ready; if one does not get ready, remove all that are not ready."""
        tasks, replicas = Tasks(self.report.detail), self.engine.replicas(service.name)
        new = [numbered(replicas, service, number) for number in numbers]
        is_first = not any(replica.is_running for replica in replicas if replica not in new)
        tasks.do([functools.partial(self.admit, replica, tasks, is_first=is_first) for replica in new])

    def start_all(self, steps: Sequence[StartReplica]) -> None:
        """Start replicas of a service that have exited, and admit each when it is ready."""
        tasks = Tasks(self.report.detail)
        is_first = not any(replica.is_running for replica in self.engine.replicas(steps[0].replica.service))
        tasks.do([functools.partial(self.start, step, tasks, is_first=is_first) for step in steps])

    def start(self, step: StartReplica, tasks: Tasks, *, is_first: bool) -> None:
        """Start a replica that has exited; if it fails, remove it, so that the next `up` creates another one.

        Its anonymous volumes would be removed with it, so a replica that has any stays.
        """
        replica, stays = step.replica, step.is_kept or step.replica.has_own_volumes
        try:
            if not is_first:  # else it is better than none, should this command be killed
                self.engine.withdraw_replica(replica)
            self.engine.start_replica(replica)
            self.post_start(replica)
        except EngineError:
            if not stays:
                self.engine.remove_replica(replica)
            raise
        started = replace(self.engine.current(replica), restarts=0)
        if stays:
            wait_until_ready(self.engine, started, self.within, tasks=tasks, is_first=is_first)
            self.engine.admit_replica(started)
            self.admitted[replica.service] = time.monotonic()
        else:
            self.admit(started, tasks, is_first=is_first)

    def admit(self, replica: Replica, tasks: Tasks, old: Replica | None = None, *, is_first: bool = False) -> None:
        """Admit a replica when it is ready; one that does not get ready is removed, and its last lines are shown.

        `old` is the replica that it replaces, which the caller restores after an error.
        """
        try:
            if replica.id not in self.hooked:  # an `up` that created it was killed, maybe before its hooks
                hooks.post_start(self.engine, replica, self.report.detail)
            wait_until_ready(self.engine, replica, self.within, tasks=tasks, is_first=is_first)
        except GivenUpError:
            if not tasks.is_interrupted:  # else the next `up` continues with it
                self.report.detail(f"Remove {replica.name} (not ready)")
                self.engine.remove_replica(replica)
            raise
        except EngineError as error:
            self.show_last_lines(replica)
            self.engine.remove_replica(replica)
            rest = f"{old.name} is restored" if old else still_running(self.engine.replicas(replica.service), replica)
            raise EngineError(f"{error}; {rest}. {FIX}") from error
        self.engine.admit_replica(replica)
        self.admitted[replica.service] = time.monotonic()

    def complete(self, service: Service, number: int) -> None:
        """Wait until a replica exits; raises `EngineError` with its last lines unless the exit code is 0."""
        restarts = 0
        while (replica := self.numbered(service, number)).is_running or replica.state == RESTARTING:
            if replica.restarts > restarts:
                restarts = replica.restarts
                self.report.detail(f"{replica.name} exited and is restarted ({times(restarts)} so far)")
            time.sleep(ASK_EVERY)
        if replica.has_completed:
            return
        lines = last_lines(self.engine, replica)
        for line in lines:
            self.report.detail(line)
        why = f" ({line})" if (line := telling(lines)) else ""
        raise EngineError(f"{replica.name} {state(replica)}{why}; other services depend on it. {FIX}")

    def remove_all(self, replicas: list[Replica]) -> None:
        """Remove replicas of a service at the same time."""
        # A replacement goes before the replica that it replaces: its removal may restart that one.
        ids = {replica.id for replica in replicas}
        for is_new in (True, False):
            wave = [replica for replica in replicas if (replica.replaces in ids) == is_new]
            with drained(self.engine, wave, self.report.detail):
                Tasks(self.report.detail).do([functools.partial(self.remove, replica) for replica in wave])

    def remove(self, replica: Replica) -> None:
        """Execute the hooks of a replica and remove it; raises `EngineError` if a hook fails, and it keeps running."""
        self.pre_stop(replica)
        with self.warn_if_slow(replica):
            self.engine.remove_replica(replica)

    def stop_all(self, replicas: list[Replica]) -> None:
        """Stop replicas of a service at the same time."""
        with drained(self.engine, replicas, self.report.detail):
            Tasks(self.report.detail).do([functools.partial(self.stop, replica) for replica in replicas])

    def stop(self, replica: Replica) -> None:
        """Execute the hooks of a replica and stop it; raises `EngineError` if a hook fails, and it keeps running."""
        self.pre_stop(replica)
        with self.warn_if_slow(replica):
            self.engine.stop_replica(replica)

    def pre_stop(self, replica: Replica) -> None:
        """Execute the hooks of a replica before it is stopped; raises `EngineError` if one fails."""
        try:
            hooks.pre_stop(self.engine, replica, self.report.detail)
        except EngineError as error:
            raise EngineError(f"{error}; {replica.name} is still running. {FIX}") from error

    @contextlib.contextmanager
    def warn_if_slow(self, replica: Replica) -> Iterator[None]:
        """Report the grace period of a replica that does not stop within SLOW_SECONDS."""
        service = self.engine.stack.service(replica.service)
        grace = f", at most {service.stop_grace:g} s" if service else ""
        line = f"wait until {replica.name} has stopped{grace}"
        timer = threading.Timer(SLOW_SECONDS, self.report.detail, [line])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def wait_for_admission(self, service: str) -> None:
        """Wait until clients find the last admitted replica; until then old ones must keep running."""
        if service in self.admitted:
            time.sleep(max(self.admitted[service] + self.engine.admission_seconds - time.monotonic(), 0))

    def wait_for_health(self, service: Service) -> None:
        """Wait for the services that a service requires to be healthy; raises `EngineError` after the time limit."""
        names = [name for name, condition in service.conditions if condition == SERVICE_HEALTHY]
        wait_for_services(self.engine, names, self.within, f"{service.name} requires it to be healthy")

    def numbered(self, service: Service, number: int) -> Replica:
        """Return a replica by its number; raises `EngineError` if it is gone."""
        return numbered(self.engine.replicas(service.name), service, number)

    def show_last_lines(self, replica: Replica) -> None:
        """Show the last lines of a replica before it is removed."""
        with contextlib.suppress(EngineError):
            for line in last_lines(self.engine, replica):
                self.report.detail(line)


def numbered(replicas: Iterable[Replica], service: Service, number: int) -> Replica:
    """Return the replica with a number, the new one if it replaces another; raises `EngineError` if it is gone."""
    replicas = tuple(replicas)
    replaced = {replica.replaces for replica in replicas}
    for replica in replicas:
        if replica.number == number and replica.id not in replaced:
            return replica
    raise EngineError(f"{service.name}-{number} is gone. Try: invoke up")
