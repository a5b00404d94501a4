"""Execute the steps of a plan in order. The plan decides; this module only waits, reports and goes back on errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from twelfth.engines.contract import ServiceEngine
from twelfth.runs.manage import stop
from twelfth.stack import pins
from twelfth.stack.job_images import fix_image
from twelfth.stack.readiness import ready_within
from twelfth.stack.release_command import run_release_command
from twelfth.stack.replacement import replace_replica
from twelfth.stack.replicas import Replicas
from twelfth.stack.rollout import groups
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
    StopReplica,
    StopRun,
    TryReplica,
    WatchReplicas,
)
from twelfth.stack.trial import try_replica
from twelfth.stack.watching import reload_replica, watch_replicas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine, ReplicaEngine
    from twelfth.model.service import Service
    from twelfth.model.snapshot import BuiltRelease
    from twelfth.stack.report import Report
    from twelfth.stack.steps import Step


def execute(
    engine: Engine, steps: Iterable[Step], report: Report, within: float | None = None, command: str = "up"
) -> bool:
    """Execute the steps and report each; return whether there were any.

    `within` is `--ready-within` in seconds; `command` is the reason of the runs of release commands.
    """
    steps = tuple(steps)
    executor = _Executor(engine, Replicas(cast("ReplicaEngine", engine), report, within), report, within, command)
    for group in groups(steps):
        engine.state.check_lock()
        for step in group:
            report.step(str(step))
        executor.execute(group)
    return bool(steps)


@dataclass(frozen=True)
class _Executor:
    engine: Engine
    replicas: Replicas
    report: Report
    within: float | None
    command: str

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
                run_release_command(engine, step, self.report.detail, self.within, self.command)
            case _ if isinstance(engine, ServiceEngine):
                self.execute_on_service(engine, step)
            case _:
                _execute_on_replicas(self.replicas, group)

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
        is_removed = pins.remove(self.engine, release) if release.references else self.engine.remove_release(release.id)
        if not is_removed:
            self.report.detail("it stays, since another stack or container needs it")


def _execute_on_replicas(replicas: Replicas, group: tuple[Step, ...]) -> None:
    match group[0]:
        case CreateReplica(service) | AdmitReplica(service):
            replicas.create_all([step for step in group if isinstance(step, CreateReplica)])
            replicas.admit_all(service, [step.number for step in group if isinstance(step, AdmitReplica)])
        case StartReplica(service):
            replicas.wait_for_health(service)
            replicas.start_all(cast("tuple[StartReplica, ...]", group))
        case StopReplica(replica):
            replicas.wait_for_admission(replica.service)
            replicas.stop_all([step.replica for step in cast("tuple[StopReplica, ...]", group)])
        case CompleteReplica(service, number):
            replicas.complete(service, number)
        case ReplaceReplica(service, number, old, is_watched=is_watched):
            replicas.wait_for_health(service)
            replicas.wait_for_admission(service.name)
            replace_replica(replicas, service, number, old, is_watched=is_watched)
        case TryReplica() as step:
            replicas.wait_for_health(step.service)
            try_replica(replicas, step)
        case WatchReplicas() as step:
            watch_replicas(replicas, step)
        case ReloadReplica(service, replica):
            reload_replica(replicas, service, replica)
        case RemoveReplica(replica):
            replicas.wait_for_admission(replica.service)
            replicas.remove_all([step.replica for step in cast("tuple[RemoveReplica, ...]", group)])
