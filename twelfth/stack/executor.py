"""Do the steps of a plan in their order; it decides nothing."""

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
from twelfth.stack.at_once import Tasks
from twelfth.stack.interrupts import uninterrupted
from twelfth.stack.logs import last_lines
from twelfth.stack.readiness import (
    ASK_EVERY,
    GivenUpError,
    ready_within,
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
    ReloadReplica,
    RemoveRelease,
    RemoveReplica,
    RemoveResource,
    RemoveService,
    ReplaceReplica,
    RollService,
    RunReleaseCommand,
    ScaleService,
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
    """Whoever is to see how the work is getting on."""

    def step(self, line: str) -> None:
        """Take a step that begins; the one before is done."""

    def detail(self, line: str) -> None:
        """Take what the step that is going on has to tell."""


RESTARTING = "restarting"
"""The state of a container that has ended and is about to be started again, as its restart policy has it."""

SLOW_SECONDS = 2.0
"""How long a replica may take to end before somebody who waits is told why."""


def execute(engine: Engine, steps: Iterable[Step], report: Report, within: float | None = None) -> bool:
    """Execute the steps and report each; return whether there were any. `within` is the value of `--ready-within`."""
    steps, executor = tuple(steps), _Executor(engine, report, within)
    for group in groups(steps):
        for step in group:
            report.step(str(step))
        executor.execute(group)
    return bool(steps)


@dataclass(frozen=True)
class _Executor:
    """Executes one group of steps after the other, and reports their output."""

    engine: Engine
    report: Report
    within: float | None
    admitted: dict[str, float] = field(default_factory=dict)
    """The monotonic time at which a replica was last admitted, by service."""

    def execute(self, group: tuple[Step, ...]) -> None:
        """Execute the steps of a group at the same time."""
        engine, step = self.engine, group[0]
        match step:
            case EnsureImage(service):
                engine.ensure_image(service, self.report.detail)
            case CreateResource(resource):
                engine.create_resource(resource)
            case RemoveResource(resource):
                engine.remove_resource(resource)
            case RemoveRelease(release):
                self.remove_release(release)
            case StopRun(run):
                engine.runs.stop(run.id, self.report.detail)
            case DeleteRun(run):
                engine.runs.delete(run.id)
            case RunReleaseCommand(service, after=after):
                run_release_command(engine, service, self.report.detail, self.within, after)
            case _ if isinstance(engine, ServiceEngine):
                self.execute_on_service(engine, step)
            case _:
                replicas = _ReplicaExecutor(cast("ReplicaEngine", engine), self.report, self.within, self.admitted)
                replicas.execute(group)

    def execute_on_service(self, engine: ServiceEngine, step: Step) -> None:
        """Do a step that is about a whole service."""
        match step:
            case RollService(service):
                engine.roll_service(service, self.ready_within(service), self.report.detail)
            case ScaleService(service):
                engine.scale_service(service, self.ready_within(service), self.report.detail)
            case RemoveService(name):
                engine.remove_service(name)

    def ready_within(self, service: Service) -> float:
        """Return the time limit in seconds for a replica of a service to get ready."""
        return ready_within(self.engine.stack, service.name, self.within)

    def remove_release(self, release: BuiltRelease) -> None:
        """Remove a release, unless something else than this stack needs it."""
        if not self.engine.remove_release(release.id):
            self.report.detail("it is still needed by something else, and stays")


@dataclass(frozen=True)
class _ReplicaExecutor:
    """Does one step that is about one replica."""

    engine: ReplicaEngine
    report: Report
    within: float | None

    admitted: dict[str, float]

    def execute(self, group: tuple[Step, ...]) -> None:
        """Execute the steps of a group at the same time."""
        match group[0]:
            case CreateReplica(service) | AdmitReplica(service):
                self.create_all([each for each in group if isinstance(each, CreateReplica)])
                self.admit_all(service, [each.number for each in group if isinstance(each, AdmitReplica)])
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
                self.remove_all([each.replica for each in cast("tuple[RemoveReplica, ...]", group)])

    def create_all(self, steps: list[CreateReplica]) -> None:
        """Create replicas; if one cannot be created, remove the others, since none of them is ready yet."""
        tasks, created = Tasks(self.report.detail), list[Replica]()
        for service in {step.service.name: step.service for step in steps if not step.like}.values():
            self.wait_for_health(service)

        def create(step: CreateReplica) -> None:
            if tasks.is_given_up:
                return
            if step.like:
                created.append(self.engine.clone_replica(step.like, step.number))
            else:
                created.append(self.engine.create_replica(step.service, step.number))

        try:
            tasks.do([functools.partial(create, step) for step in steps])
        except EngineError:
            for replica in created:
                self.report.detail(f"remove {replica.name}: it is not ready")
            Tasks(self.report.detail).do([functools.partial(self.engine.remove_replica, each) for each in created])
            raise

    def remove_all(self, replicas: list[Replica]) -> None:
        """Remove replicas, each before the one that it replaces: until it is gone, it gives the place back to that."""
        ids = {each.id for each in replicas}
        for is_new in (True, False):
            wave = [each for each in replicas if (each.replaces in ids) == is_new]
            Tasks(self.report.detail).do([functools.partial(self.remove, each) for each in wave])

    def remove(self, replica: Replica) -> None:
        """Remove a replica, and report if that takes long."""
        with self.warn_if_slow(replica):
            self.engine.remove_replica(replica)

    def wait_for_admission(self, service: str) -> None:
        """Wait until clients have found the last admitted replica; the old ones must serve until then."""
        if service in self.admitted:
            time.sleep(max(self.admitted[service] + self.engine.admission_seconds - time.monotonic(), 0))

    @contextlib.contextmanager
    def warn_if_slow(self, replica: Replica) -> Iterator[None]:
        """Tell how long a replica may take to end, where it does not do so soon."""
        service = self.engine.stack.service(replica.service)
        what = f"{replica.name} has {service.stop_grace:g} s to end; then it is killed" if service else "it ends slowly"
        timer = threading.Timer(SLOW_SECONDS, self.report.detail, [what])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def wait_for_health(self, service: Service) -> None:
        """Return when what a service wants to be healthy is; raises `EngineError` where that takes too long."""
        wanted = [name for name, condition in service.conditions if condition == SERVICE_HEALTHY]
        wait_for_services(self.engine, wanted, self.within, f"{service.name} waits for it")

    def numbered(self, service: Service, number: int) -> Replica:
        """Return a replica that was created before; raises `EngineError` if it is gone."""
        return numbered(self.engine.replicas(service.name), service, number)

    def complete(self, service: Service, number: int) -> None:
        """Return when a replica has ended well; raises `EngineError` with its last words where it has not."""
        restarts = 0
        while (replica := self.numbered(service, number)).is_running or replica.state == RESTARTING:
            if replica.restarts > restarts:
                restarts = replica.restarts
                self.report.detail(f"{replica.name} ended and is started again, {restarts}")
            time.sleep(ASK_EVERY)
        if replica.has_completed:
            return
        lines = last_lines(self.engine, replica)
        for line in lines:
            self.report.detail(line)
        why = f" ({words})" if (words := telling(lines)) else ""
        then = "others wait for its end; fix that, then: invoke up"
        raise EngineError(f"{replica.name} is {replica.state}{why}; {then}")

    def admit_all(self, service: Service, numbers: list[int]) -> None:
        """Admit each replica when it is ready; if one does not get ready, remove all that are not ready."""
        tasks, replicas = Tasks(self.report.detail), self.engine.replicas(service.name)
        is_first = not any(replica.is_running for replica in replicas if replica.number not in numbers)

        def admit(number: int) -> None:
            replica = numbered(replicas, service, number)
            self.admit(replica, tasks, is_first=is_first)

        tasks.do([functools.partial(admit, number) for number in numbers])

    def admit(self, replica: Replica, tasks: Tasks, old: Replica | None = None, *, is_first: bool = False) -> None:
        """Admit a replica when it is ready; one that does not get ready is removed, and its last lines are shown.

        `old` is the one in whose place it is, and which is put back then.
        """
        try:
            wait_until_ready(self.engine, replica, self.within, tasks=tasks, is_first=is_first)
        except GivenUpError:
            if not tasks.is_interrupted:  # else the next `up` continues with it
                self.report.detail(f"remove {replica.name}: it is not ready")
                self.engine.remove_replica(replica)
            raise
        except EngineError as error:
            self.show_last_lines(replica)
            self.engine.remove_replica(replica)
            serves = any(each.serves for each in self.engine.replicas(replica.service))
            put_back = f"{old.name} is put back" if old else "it was removed"
            rest = "what served serves on" if serves else put_back
            raise EngineError(f"{error}; {rest}; fix that, then: invoke up") from error
        self.engine.admit_replica(replica)
        self.admitted[replica.service] = time.monotonic()

    def put_back(self, old: Replica, *, starts: bool) -> None:
        """Remove the replacement of a replica, and start the replica again if it was running."""
        if starts:
            self.engine.stop_replica(old)  # it may be stopping still, and would do so after its start
        if new := self.replacement_of(old):
            self.engine.remove_replica(new)
        if starts:
            self.engine.start_replica(old)

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
            raise EngineError(f"{error}; {rest}; fix that, then: invoke up") from error

    def watch(self, step: WatchReplicas) -> None:
        """Watch new replicas; if one fails, remove all of them and re-create the old ones that were removed."""
        new = [replace(self.numbered(step.service, number), restarts=count) for number, count in step.restarts]
        try:
            watch(self.engine, new, step.service.monitor)
        except EngineError as error:
            with uninterrupted(self.report.detail, "the previous replicas are restored"):
                self.go_back(new, step.removed)
            rest = "the new replicas were removed, the previous ones are still running"
            raise EngineError(f"{error}; {rest}; fix that, then: invoke up") from error

    def go_back(self, new: list[Replica], removed: int) -> None:
        """Clone an old replica for each old one that was removed, then remove the new ones."""
        for replica in new:
            self.show_last_lines(replica)
        replicas = self.engine.replicas(new[0].service)
        old = next((each for each in replicas if each.serves and each.id not in {one.id for one in new}), None)
        numbers = free_numbers(replicas)
        for number in (next(numbers) for _ in range(removed if old else 0)):
            clone = self.engine.clone_replica(cast("Replica", old), number)
            wait_until_ready(self.engine, clone, self.within)
            self.engine.admit_replica(clone)
        for replica in new:
            self.engine.remove_replica(replica)

    def show_last_lines(self, replica: Replica) -> None:
        """Report the last lines of a replica that is about to be removed."""
        with contextlib.suppress(EngineError):
            for line in last_lines(self.engine, replica):
                self.report.detail(line)

    def replace(self, service: Service, number: int, old: Replica, *, is_watched: bool) -> None:
        """Replace a replica in place, or continue an interrupted replacement; if it fails, restore the old one.

        After any step, a restart of the engine starts at most one of the two.
        """
        new = self.replacement_of(old)
        old_ran = old.is_running or new is not None
        new = new or self.engine.prepare_replica(service, number, old)
        try:
            with self.warn_if_slow(old):
                self.engine.retire_replica(old)
            self.engine.start_replica(new)
            replica = self.numbered(service, number)
            self.admit(replica, Tasks(self.report.detail), old if old_ran else None)
            if old_ran and is_watched:
                self.watch_replacement(service, number, old)
        except BaseException:
            with uninterrupted(self.report.detail, f"{old.name} is put back"):
                self.put_back(old, starts=old_ran)
            raise
        self.engine.remove_replica(old)

    def watch_replacement(self, service: Service, number: int, old: Replica) -> None:
        """Watch a replica while the one that it replaces can still be restored."""
        new = replace(self.numbered(service, number), restarts=0)
        try:
            watch(self.engine, [new], service.monitor)
        except EngineError as error:
            self.show_last_lines(new)
            raise EngineError(f"{error}; {old.name} is put back; fix that, then: invoke up") from error

    def replacement_of(self, old: Replica) -> Replica | None:
        """Return the replica that was prepared to replace another one."""
        return next((each for each in self.engine.replicas(old.service) if each.replaces == old.id), None)


def numbered(replicas: Iterable[Replica], service: Service, number: int) -> Replica:
    """Return the replica with a number; raises `EngineError` if it is gone."""
    for replica in replicas:
        if replica.number == number:
            return replica
    raise EngineError(f"{service.name}-{number} is gone; another process removed it. Try: invoke up")
