"""Execute the steps of a plan in order. The plan decides; this module only waits, reports and goes back on errors."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, cast

from twelfth.engines.contract import ServiceEngine
from twelfth.engines.lines import telling
from twelfth.errors import EngineError
from twelfth.model.snapshot import Replica
from twelfth.model.stack import SERVICE_HEALTHY
from twelfth.runs.manage import stop
from twelfth.stack import hooks
from twelfth.stack.at_once import Tasks
from twelfth.stack.interrupts import uninterrupted
from twelfth.stack.job_images import fix_image
from twelfth.stack.logs import last_lines
from twelfth.stack.readiness import (
    ASK_EVERY,
    FIX,
    GivenUpError,
    ready_within,
    state,
    still_running,
    times,
    wait_for_services,
    wait_until_ready,
    watch,
)
from twelfth.stack.release_command import run_release_command
from twelfth.stack.rollout import free_numbers, groups
from twelfth.stack.steps import (
    AdmitReplica,
    CompleteReplica,
    CreateReplica,
    CreateResource,
    DeleteRun,
    EnsureImage,
    FixImage,
    ReloadReplica,
    RemoveRelease,
    RemoveReplica,
    RemoveResource,
    RemoveService,
    ReplaceReplica,
    RollService,
    RunReleaseCommand,
    ScaleService,
    StartReplica,
    StopRun,
    WatchReplicas,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twelfth.engines.contract import Engine, ReplicaEngine
    from twelfth.model.snapshot import BuiltRelease
    from twelfth.model.stack import Service
    from twelfth.stack.steps import Step


class Report(Protocol):
    """Where progress is shown."""

    def step(self, line: str) -> None:
        """Show a step that starts; the previous one is done."""

    def detail(self, line: str) -> None:
        """Show a line of output of the current step."""


RESTARTING = "restarting"
"""The state of a container that has exited and that Docker will start again, according to its restart policy."""

SLOW_SECONDS = 2.0
"""Seconds that a replica may take to stop before the delay is explained."""


def execute(engine: Engine, steps: Iterable[Step], report: Report, within: float | None = None) -> bool:
    """Execute the steps and report each; return whether there were any. `within` is `--ready-within` in seconds."""
    steps, executor = tuple(steps), _Executor(engine, report, within)
    for group in groups(steps):
        engine.state.check_lock()
        for step in group:
            report.step(str(step))
        executor.execute(group)
    return bool(steps)


@dataclass(frozen=True)
class _Executor:
    engine: Engine
    report: Report
    within: float | None
    admitted: dict[str, float] = field(default_factory=dict)
    """The monotonic time of the last admission, by service."""
    hooked: set[str] = field(default_factory=set)
    """The ids of the replicas in which `post_start` was executed."""

    def execute(self, group: tuple[Step, ...]) -> None:
        engine, step = self.engine, group[0]
        match step:
            case EnsureImage(service):
                engine.ensure_image(service, self.report.detail)
            case FixImage():
                fix_image(engine, step)
            case CreateResource(resource):
                engine.create_resource(resource)
            case RemoveResource(resource):
                engine.remove_resource(resource)
            case RemoveRelease(release):
                self.remove_release(release)
            case StopRun(run):
                stop(engine, run.id, self.report.detail)
            case DeleteRun(run):
                engine.runs.delete(run.id)
            case RunReleaseCommand():
                run_release_command(engine, step, self.report.detail, self.within)
            case _ if isinstance(engine, ServiceEngine):
                self.execute_on_service(engine, step)
            case _:
                engine = cast("ReplicaEngine", engine)
                _ReplicaExecutor(engine, self.report, self.within, self.admitted, self.hooked).execute(group)

    def execute_on_service(self, engine: ServiceEngine, step: Step) -> None:
        match step:
            case RollService(service):
                engine.roll_service(service, self.ready_within(service), self.report.detail)
            case ScaleService(service):
                engine.scale_service(service, self.ready_within(service), self.report.detail)
            case RemoveService(name):
                engine.remove_service(name)

    def ready_within(self, service: Service) -> float:
        return ready_within(self.engine.stack, service.name, self.within)

    def remove_release(self, release: BuiltRelease) -> None:
        """Remove a release, unless another stack needs it."""
        if not self.engine.remove_release(release.id):
            self.report.detail("it stays, since another stack or container needs it")


@dataclass(frozen=True)
class _ReplicaExecutor:
    engine: ReplicaEngine
    report: Report
    within: float | None

    admitted: dict[str, float]
    hooked: set[str]

    def execute(self, group: tuple[Step, ...]) -> None:
        match group[0]:
            case CreateReplica(service) | AdmitReplica(service):
                self.create_all([step for step in group if isinstance(step, CreateReplica)])
                self.admit_all(service, [step.number for step in group if isinstance(step, AdmitReplica)])
            case StartReplica(service):
                self.wait_for_health(service)
                self.start_all([step.replica for step in cast("tuple[StartReplica, ...]", group)])
            case CompleteReplica(service, number):
                self.complete(service, number)
            case ReplaceReplica(service, number, old, is_watched=is_watched):
                self.wait_for_health(service)
                self.wait_for_admission(service.name)
                self.replace(service, number, old, is_watched=is_watched)
            case WatchReplicas() as step:
                self.watch(step)
            case ReloadReplica(service, replica):
                self.reload(service, replica)
            case RemoveReplica(replica):
                self.wait_for_admission(replica.service)
                self.remove_all([step.replica for step in cast("tuple[RemoveReplica, ...]", group)])

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

    def remove_all(self, replicas: list[Replica]) -> None:
        # A replacement goes before the replica that it replaces: its removal may restart that one.
        ids = {replica.id for replica in replicas}
        for is_new in (True, False):
            wave = [replica for replica in replicas if (replica.replaces in ids) == is_new]
            Tasks(self.report.detail).do([functools.partial(self.remove, replica) for replica in wave])

    def post_start(self, replica: Replica, rest: str = "") -> None:
        self.hooked.add(replica.id)
        try:
            hooks.post_start(self.engine, replica, self.report.detail)
        except EngineError as error:
            rest = rest or still_running(self.engine.replicas(replica.service), replica)
            raise EngineError(f"{error}; {rest}. {FIX}") from error

    def pre_stop(self, replica: Replica) -> None:
        try:
            hooks.pre_stop(self.engine, replica, self.report.detail)
        except EngineError as error:
            raise EngineError(f"{error}; {replica.name} is still running. {FIX}") from error

    def remove(self, replica: Replica) -> None:
        self.pre_stop(replica)
        with self.warn_if_slow(replica):
            self.engine.remove_replica(replica)

    def wait_for_admission(self, service: str) -> None:
        """Wait until clients find the last admitted replica; until then old ones must keep running."""
        if service in self.admitted:
            time.sleep(max(self.admitted[service] + self.engine.admission_seconds - time.monotonic(), 0))

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

    def wait_for_health(self, service: Service) -> None:
        """Wait for the services that a service requires to be healthy; raises `EngineError` after the time limit."""
        names = [name for name, condition in service.conditions if condition == SERVICE_HEALTHY]
        wait_for_services(self.engine, names, self.within, f"{service.name} requires it to be healthy")

    def numbered(self, service: Service, number: int) -> Replica:
        """Return a replica by its number; raises `EngineError` if it is gone."""
        return numbered(self.engine.replicas(service.name), service, number)

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

    def admit_all(self, service: Service, numbers: list[int]) -> None:
        """Admit each replica when it is ready; if one does not get ready, remove all that are not ready."""
        tasks, replicas = Tasks(self.report.detail), self.engine.replicas(service.name)
        new = [numbered(replicas, service, number) for number in numbers]
        is_first = not any(replica.is_running for replica in replicas if replica not in new)
        tasks.do([functools.partial(self.admit, replica, tasks, is_first=is_first) for replica in new])

    def start_all(self, replicas: list[Replica]) -> None:
        """Start replicas of a service that have exited, and admit each when it is ready."""
        tasks = Tasks(self.report.detail)
        is_first = not any(replica.is_running for replica in self.engine.replicas(replicas[0].service))
        tasks.do([functools.partial(self.start, replica, tasks, is_first=is_first) for replica in replicas])

    def start(self, replica: Replica, tasks: Tasks, *, is_first: bool) -> None:
        """Start a replica that has exited; if it fails, remove it, so that the next `up` creates another one.

        Its anonymous volumes would be removed with it, so a replica that has any stays.
        """
        try:
            self.engine.start_replica(replica)
            self.post_start(replica)
        except EngineError:
            if not replica.has_own_volumes:
                self.engine.remove_replica(replica)
            raise
        started = replace(self.engine.current(replica), restarts=0)
        if replica.has_own_volumes:
            wait_until_ready(self.engine, started, self.within, tasks=tasks, is_first=is_first)
            self.engine.admit_replica(started)
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

    def restore(self, old: Replica, *, starts: bool) -> None:
        """Remove the replacement of a replica, and start the replica again if it was running."""
        if starts:
            self.engine.stop_replica(old)  # wait, in case it is still stopping
        if new := self.replacement_of(old):
            self.engine.remove_replica(new)
        if starts:
            self.engine.start_replica(old)
            self.report_post_start(old)

    def report_post_start(self, replica: Replica) -> None:
        """Execute the hooks of a restored replica; an error is only reported: the caller raises an earlier one."""
        try:
            hooks.post_start(self.engine, replica, self.report.detail)
        except EngineError as error:
            self.report.detail(str(error))

    def reload(self, service: Service, replica: Replica) -> None:
        """Reload a replica and watch it; if that makes it unready, restore its previous configuration.

        A replica that was not ready before keeps the new configuration, which may be the fix.
        """
        was_ready = self.engine.check_health(replica).is_ready
        self.engine.reload_replica(service, replica)
        try:
            wait_until_ready(self.engine, replica, self.within)
            watch(self.engine, [replica], service.monitor)
        except EngineError as error:
            is_restored = was_ready and self.engine.restore_configuration(service, replica)
            rest = "its previous configuration is restored" if is_restored else "it keeps its new configuration"
            raise EngineError(f"{error}; {rest}. {FIX}") from error

    def watch(self, step: WatchReplicas) -> None:
        """Watch new replicas; if one fails, remove all of them and re-create the old ones that were removed."""
        new = [replace(self.numbered(step.service, number), restarts=count) for number, count in step.restarts]
        try:
            watch(self.engine, new, step.service.monitor)
        except EngineError as error:
            with uninterrupted(self.report.detail, "the previous replicas are restored"):
                self.go_back(new, step.removed)
            rest = still_running(self.engine.replicas(step.service.name), new[0])
            raise EngineError(f"{error}; the new replicas were removed, {rest}. {FIX}") from error

    def go_back(self, new: list[Replica], removed: int) -> None:
        """Clone an old replica once for each old one that was removed, then remove the new ones."""
        for replica in new:
            self.show_last_lines(replica)
        replicas = self.engine.replicas(new[0].service)
        ids = {replica.id for replica in new}
        old = next((replica for replica in replicas if replica.serves and replica.id not in ids), None)
        numbers = free_numbers(replicas)
        for number in (next(numbers) for _ in range(removed if old else 0)):
            clone = self.engine.clone_replica(cast("Replica", old), number)
            self.report_post_start(clone)
            wait_until_ready(self.engine, clone, self.within)
            self.engine.admit_replica(clone)
        for replica in new:
            self.engine.remove_replica(replica)

    def show_last_lines(self, replica: Replica) -> None:
        """Show the last lines of a replica before it is removed."""
        with contextlib.suppress(EngineError):
            for line in last_lines(self.engine, replica):
                self.report.detail(line)

    def replace(self, service: Service, number: int, old: Replica, *, is_watched: bool) -> None:
        """Replace a replica in place, or continue an interrupted replacement; if it fails, restore the old one.

        Wherever this is interrupted, a restart of the engine starts at most one of the two replicas.
        """
        new = self.replacement_of(old)
        old_ran = old.is_running or new is not None
        self.pre_stop(old)
        new = new or self.engine.prepare_replica(service, number, old)
        try:
            with self.warn_if_slow(old):
                self.engine.retire_replica(old)
            self.engine.start_replica(new)
            self.post_start(new, f"{old.name} is restored" if old_ran else "")
            replica = self.numbered(service, number)
            self.admit(replica, Tasks(self.report.detail), old if old_ran else None)
            if old_ran and is_watched:
                self.watch_replacement(service, number, old)
        except BaseException:
            going_back = f"{old.name} is restored" if old_ran else f"{service.name}-{number} is removed"
            with uninterrupted(self.report.detail, going_back):
                self.restore(old, starts=old_ran)
            raise
        self.engine.remove_replica(old)

    def watch_replacement(self, service: Service, number: int, old: Replica) -> None:
        """Watch a replica while the one that it replaces can still be restored."""
        new = replace(self.numbered(service, number), restarts=0)
        try:
            watch(self.engine, [new], service.monitor)
        except EngineError as error:
            self.show_last_lines(new)
            raise EngineError(f"{error}; {old.name} is restored. {FIX}") from error

    def replacement_of(self, old: Replica) -> Replica | None:
        """Return the replica that was prepared to replace another one."""
        return next((replica for replica in self.engine.replicas(old.service) if replica.replaces == old.id), None)


def numbered(replicas: Iterable[Replica], service: Service, number: int) -> Replica:
    """Return the replica with a number, the new one if it replaces another; raises `EngineError` if it is gone."""
    replicas = tuple(replicas)
    replaced = {replica.replaces for replica in replicas}
    for replica in replicas:
        if replica.number == number and replica.id not in replaced:
            return replica
    raise EngineError(f"{service.name}-{number} is gone. Try: invoke up")
