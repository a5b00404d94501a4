"""Scale and remove a stack, build its images and remove old releases: observe, plan, execute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.errors import TwelfthError
from twelfth.runs.ledger import Ledger
from twelfth.runs.recording import complete
from twelfth.schedule import heartbeat
from twelfth.stack import pins, plan
from twelfth.stack.changes import Change, recorded
from twelfth.stack.deploy_record import forget_deploys, note_build, note_scale
from twelfth.stack.executor import execute
from twelfth.stack.job_images import plan_images
from twelfth.stack.release_choice import plan_prune
from twelfth.stack.resources import own_volumes
from twelfth.stack.stack_file import forget, is_elsewhere
from twelfth.stack.steps import EnsureImage

if TYPE_CHECKING:
    from twelfth.engines.contract import Engine
    from twelfth.model.run import Run
    from twelfth.model.service import Service
    from twelfth.stack.report import Report
    from twelfth.stack.steps import Step


def plan_scale(engine: Engine, service: Service) -> tuple[Step, ...]:
    """Return the steps of `scale`, without executing them."""
    return plan.scale(service, engine.observe())


def scale(engine: Engine, service: Service, report: Report, within: float | None = None) -> bool:
    """Create or remove replicas of the running release, to the service's number; return whether any changed."""
    with engine.state.lock("scaling"):
        steps = plan_scale(engine, service)
        with recorded(engine, report, Change("scale", f"{service.name}={service.replicas}"), steps):
            has_changed = execute(engine, steps, report, within)
        note_scale(engine.state, {service.name: service.replicas})
        return has_changed


def prune(engine: Engine, report: Report, keep: int) -> bool:
    """Remove unused releases except the newest `keep`; return whether there were any."""
    with engine.state.lock("removing releases"):
        steps = plan_prune(engine, keep)
        with recorded(engine, report, Change("prune", ", ".join(step.release.id for step in steps)), steps):
            return execute(engine, steps, report)


def plan_down(engine: Engine, **options: bool) -> tuple[Step, ...]:
    """Return the steps of `down` with the same options, without executing them."""
    return plan.down(engine.stack, engine.observe(), engine.runs.records(), **options)


def down(
    engine: Engine, report: Report, *, volumes: bool = False, history: bool = False, remove_orphans: bool = False
) -> bool:
    """Remove the stack and, if requested, its data and record of runs; return whether anything was removed.

    Services that the stack does not declare stay, unless `remove_orphans`.
    """
    options = {"volumes": volumes, "history": history, "remove_orphans": remove_orphans}
    with engine.state.lock("taking it down"):
        engine.stop_scheduler()
        snapshot = engine.observe()
        runs = engine.runs.records()
        steps = plan.down(engine.stack, snapshot, runs, **options)
        if history:
            has_changed = execute(engine, steps, report) | Ledger(engine.state).remove()
        else:
            _complete(engine, runs, report)
            with recorded(engine, report, Change("down", "with volumes" if volumes else "", snapshot.replicas), steps):
                has_changed = execute(engine, steps, report)
        left = engine.observe()
        if not left.replicas:
            engine.clean_up()
        if (volumes or history) and not left.replicas and not own_volumes(engine.stack, left):
            forget_deploys(engine.state)
            pins.forget(engine)
            heartbeat.forget(engine.state)
            engine.state.forget_claims(engine.state.claims())
            engine.keep_releases(())
            engine.keep_job_images({})
            if history:
                engine.state.remove()
            if volumes and not is_elsewhere(engine):
                forget(engine.stack)
        return has_changed


def _complete(engine: Engine, runs: tuple[Run, ...], report: Report) -> None:
    """Complete the records of runs that have exited; a full disk must not keep `down` from freeing space."""
    try:
        complete(engine, [run for run in runs if run.exit_code is not None])
    except TwelfthError as error:
        report.detail(f"the ends of runs are not recorded: {error}")


def build(engine: Engine, report: Report) -> str:
    """Build the missing images of the stack, and return its release."""
    images = engine.observe().images
    missing = [service for service in engine.stack.services if service.build and service.image not in images]
    release = engine.stack.release
    if execute(engine, [EnsureImage(service, "missing") for service in missing], report):
        note_build(engine.state, release)
    execute(
        engine, [step for step in plan_images(engine) if isinstance(step, EnsureImage) and step.service.build], report
    )
    return release
