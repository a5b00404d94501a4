"""Run a service's release command once, even if `up` is killed meanwhile.

A run survives its client, so after kill -9 of `up` the release command is still running. The next `up` finds the run
by its purpose, waits for it, and uses its exit code if it was for the same release and configuration.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from twelfth.errors import ServiceError
from twelfth.runs.manage import stop
from twelfth.runs.request import new_request
from twelfth.runs.source import from_release
from twelfth.runs.start import follow_with_report, run_with_report
from twelfth.stack.formatting import printable
from twelfth.stack.interrupts import uninterrupted
from twelfth.stack.readiness import FIX, still_running, wait_for_services

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twelfth.engines.contract import Engine, Say
    from twelfth.model.run import Run
    from twelfth.model.snapshot import Recipe, Replica
    from twelfth.model.stack import Service

CONFIGURATION = ("image", "environment.", "config.")
"""Prefixes of the keys of a recipe that a release command depends on."""


def run_release_command(
    engine: Engine, service: Service, say: Say, within: float | None, after: Sequence[str] = ()
) -> None:
    """Run a service's release command when its dependencies are ready, unless an earlier `up` started it.

    `after` has the services that were changed before it. Raises `ServiceError` if the command fails, with the line of
    its output that shows why. An interruption stops the run.
    """
    dependencies = [dependency.name for dependency in engine.stack.dependencies(service)]
    wait_for_services(engine, dependencies, within, f"the release command of {service.name} needs it and was not run")
    goal = purpose(service, engine.recipe(service) or {})
    source = from_release(engine.stack, service=service.name)
    for run in _unfinished(engine, service):
        say(f"Wait for run {run.id} (started by an earlier up)")
        with _stopped_if_interrupted(engine, run.id, say):
            code, last = follow_with_report(engine, run.id, say)
        if run.purpose == goal:
            if code:
                raise _failure(code, last, run.id, _consequence(engine, source, after))
            return
    request = new_request(
        service.release_command, source, reason="up", purpose=goal, interactive=False, is_admin_process=True
    )
    with _stopped_if_interrupted(engine, request.id, say):
        code, last = run_with_report(engine, request, say)
    if code:
        raise _failure(code, last, request.id, _consequence(engine, source, after))


def purpose(service: Service, recipe: Recipe) -> str:
    """Return the purpose of a release command's run, which identifies the command, release and configuration."""
    configuration = {name: value for name, value in recipe.items() if name.startswith(CONFIGURATION)}
    content = json.dumps([service.image, service.release_command, configuration], sort_keys=True)
    return _purpose_prefix(service) + hashlib.sha256(content.encode()).hexdigest()[:12]


def _purpose_prefix(service: Service) -> str:
    return f"release command of {service.name}: "


def _unfinished(engine: Engine, service: Service) -> list[Run]:
    runs = [run for run in engine.runs.records() if run.purpose.startswith(_purpose_prefix(service))]
    return [run for run in runs if run.is_running]


def _failure(code: int, last: str, run_id: str, consequence: str) -> ServiceError:
    why = printable(last) or "the release command printed nothing"
    hint = "" if "invoke " in why else f". {FIX}"
    return ServiceError(f"{why} (exit code {code}, run {run_id}); {consequence}{hint}")


def _consequence(engine: Engine, source: Replica, after: Sequence[str]) -> str:
    changed = f"{', '.join(after)} changed before it ran" if after else ""
    return changed or still_running(engine.replicas(source.service), source)


@contextlib.contextmanager
def _stopped_if_interrupted(engine: Engine, run_id: str, say: Say) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        with uninterrupted(say, f"run {run_id} is stopped"):
            if any(run.id == run_id and run.is_running for run in engine.runs.records()):
                stop(engine, run_id, say)
        raise
