"""Run the release commands of a service once, even if `up` is killed meanwhile.

A run survives its client, so after kill -9 of `up` a release command is still running. The next `up` finds the run
by its purpose, waits for it, and uses its exit code if it was for the same release, configuration and commands before
it. Those have succeeded then, and are not repeated. If no command is running, the next `up` repeats all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
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
    from twelfth.model.job import Changes
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe, Replica
    from twelfth.stack.steps import RunReleaseCommand

CONFIGURATION = ("image", "environment.", "config.")
"""Prefixes of the keys of a recipe that a release command depends on."""


def run_release_command(engine: Engine, step: RunReleaseCommand, say: Say, within: float | None, command: str) -> None:
    """Run a release command when its service's dependencies are ready, unless an earlier `up` started it.

    The reason of the run is `command`.
    Raises `ServiceError` if the command fails, with the line of its output that shows why. An interruption stops the
    run.
    """
    service, entry = step.service, step.entry
    dependencies = [dependency.name for dependency in engine.stack.dependencies(service)]
    wait_for_services(engine, dependencies, within, f"the release command of {service.name} needs it and was not run")
    goals = purposes(service, engine.recipe(service) or {})
    source = from_release(engine.stack, service=service.name)
    for run in _unfinished(engine, service):
        if run.purpose in goals[entry + 1 :]:
            say(f"Skip: it succeeded before run {run.id}, which an earlier up started")
            return
        say(f"Wait for run {run.id} (started by an earlier up)")
        with _stopped_if_interrupted(engine, run.id, say):
            code, last = follow_with_report(engine, run.id, say)
        if run.purpose == goals[entry]:
            if code:
                raise _failure(code, last, run.id, _consequence(engine, source, step.after))
            return
    request = _request(service.pre_start[entry], source, goals[entry], command)
    with _stopped_if_interrupted(engine, request.id, say):
        code, last = run_with_report(engine, request, say)
    if code:
        raise _failure(code, last, request.id, _consequence(engine, source, step.after))


def _request(changes: Changes, source: Replica, purpose: str, reason: str) -> RunRequest:
    return new_request(
        changes.container.command or (),
        replace(source, image=changes.container.image or source.image),
        reason=reason,
        purpose=purpose,
        interactive=False,
        is_admin_process=True,
        changes=changes,
    )


def purposes(service: Service, recipe: Recipe) -> list[str]:
    """Return the purposes of the runs of a service's release commands.

    Each identifies the release, its configuration, and the commands up to this one.
    """
    configuration = {name: value for name, value in recipe.items() if name.startswith(CONFIGURATION)}
    content = json.dumps([service.image, configuration], sort_keys=True)
    names = []
    for changes in service.pre_start:
        content = hashlib.sha256(f"{content} {sorted(changes.keys)} {changes.container}".encode()).hexdigest()
        names.append(_purpose_prefix(service) + content[:12])
    return names


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
