"""Do the steps of a plan in their order; it decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twelfth.errors import ServiceError
from twelfth.runs.request import new_request
from twelfth.runs.source import from_release
from twelfth.runs.start import run_with_report
from twelfth.stack.steps import (
    CreateReplica,
    CreateResource,
    DeleteRun,
    EnsureImage,
    RemoveReplica,
    RemoveResource,
    RunReleaseCommand,
    StopRun,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.stack import Service
    from twelfth.stack.steps import Step


class Report(Protocol):
    """Whoever is to see how the work is getting on."""

    def step(self, line: str) -> None:
        """Take a step that begins; the one before is done."""

    def detail(self, line: str) -> None:
        """Take what the step that is going on has to tell."""


def execute(engine: Engine, steps: Iterable[Step], report: Report) -> bool:
    """Do the steps, reporting each; return whether there were any."""
    steps = tuple(steps)
    for step in steps:
        report.step(str(step))
        _execute(engine, step, report)
    return bool(steps)


def _execute(engine: Engine, step: Step, report: Report) -> None:
    match step:
        case EnsureImage(service):
            engine.ensure_image(service, report.detail)
        case CreateResource(resource):
            engine.create_resource(resource)
        case RemoveResource(resource):
            engine.remove_resource(resource)
        case RemoveReplica(replica):
            engine.remove_replica(replica)
        case StopRun(run):
            engine.runs.stop(run.id, report.detail)
        case DeleteRun(run):
            engine.runs.delete(run.id)
        case RunReleaseCommand(service):
            _run_release_command(engine, service, report)
        case CreateReplica(service, number, instead=instead):
            if instead:
                engine.remove_replica(instead)
            engine.create_replica(service, number)


def _run_release_command(engine: Engine, service: Service, report: Report) -> None:
    """Run a service's release command; raises `ServiceError` with its last words where it fails."""
    source = from_release(engine.stack)
    wanted = new_request(service.release_command, source, reason="up", interactive=False, is_admin_process=True)
    code, last = run_with_report(engine, wanted, report.detail)
    if code:
        raise ServiceError(f"{last or 'it said nothing'} (exit code {code}, run {wanted.id}); what served serves on")
