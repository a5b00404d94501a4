"""Run a service's release command once, even if `up` is killed meanwhile.

A run outlives its client, so after kill -9 of `up` the release command is still running. The next `up` finds that run
by its purpose, waits for it, and uses its exit code if it was for the same release and configuration.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from twelfth.errors import ServiceError
from twelfth.runs.request import new_request
from twelfth.runs.source import from_release
from twelfth.runs.start import follow_with_report, run_with_report
from twelfth.stack.formatting import printable
from twelfth.stack.interrupts import uninterrupted
from twelfth.stack.readiness import wait_for_services

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twelfth.engines.contract import Engine, Say
    from twelfth.model.run import Run
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Service

CONFIGURATION = ("image", "environment.", "config.")
"""Prefixes of the keys of a recipe that a release command depends on."""


def run_release_command(
    engine: Engine, service: Service, say: Say, within: float | None, after: Sequence[str] = ()
) -> None:
    """Run a service's release command when its dependencies are ready, unless an earlier `up` started it.

    `after` has the services that were changed before. Raises `ServiceError` if the command fails, with the line of its
    output that shows why. An interruption stops the run.
    """
    needed = [each.name for each in engine.stack.dependencies(service)]
    wait_for_services(engine, needed, within, f"the release command of {service.name} needs it and was not run")
    goal = purpose(service, engine.recipe(service) or {})
    for run in _unfinished(engine, service):
        say(f"wait for run {run.id}, which an earlier up started")
        with _stopped_if_interrupted(engine, run.id, say):
            code, last = follow_with_report(engine, run.id, say)
        if run.purpose == goal:
            _refuse_failed(code, last, run.id, after)
            return
    source = from_release(engine.stack, service=service.name)
    request = new_request(
        service.release_command, source, reason="up", purpose=goal, interactive=False, is_admin_process=True
    )
    with _stopped_if_interrupted(engine, request.id, say):
        code, last = run_with_report(engine, request, say)
    _refuse_failed(code, last, request.id, after)


def purpose(service: Service, recipe: Recipe) -> str:
    """Return the purpose of a release command's run, which identifies the command, release and configuration."""
    configuration = {name: value for name, value in recipe.items() if name.startswith(CONFIGURATION)}
    content = json.dumps([service.image, service.release_command, configuration], sort_keys=True)
    return _beginning(service) + hashlib.sha256(content.encode()).hexdigest()[:12]


def _beginning(service: Service) -> str:
    return f"release command of {service.name}: "


def _unfinished(engine: Engine, service: Service) -> list[Run]:
    runs = [run for run in engine.runs.records() if run.purpose.startswith(_beginning(service))]
    return [run for run in runs if run.is_running]


def _refuse_failed(code: int, last: str, identity: str, after: Sequence[str]) -> None:
    if code:
        why = printable(last) or "it said nothing"
        rest = f"{', '.join(after)} changed before it ran" if after else "what served serves on"
        then = "" if "invoke " in why else "; fix that, then: invoke up"
        raise ServiceError(f"{why} (exit code {code}, run {identity}); {rest}{then}")


@contextlib.contextmanager
def _stopped_if_interrupted(engine: Engine, identity: str, say: Say) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        with uninterrupted(say, f"run {identity} is stopped"):
            if any(run.id == identity and run.is_running for run in engine.runs.records()):
                engine.runs.stop(identity, say)
        raise
