"""Bring a stack up and down: observe, plan, apply. All decisions are the plan's; all effects are the engine's."""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from stack import journal, oneoff, plan, ports, view
from stack.alone import alone
from stack.door import Said, ask, url
from stack.engines.release import digest, files
from stack.errors import BusyError, EngineError, MisuseError, NotUpError, ServiceError, TwelfthError
from stack.model import with_release
from twelfth.compose import config, services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from stack.engines.base import Engine
    from stack.model import Service, Snapshot, Stack

    Say = Callable[[str], None]

READY_WITHIN = 60.0
"""Seconds that a stack has from its last step to its first answer."""

LOGGED_WITHIN, LOGGED_LINES = 0.5, 1000
"""Seconds, and lines, within which what was just answered is in a log."""

ASK_EVERY = 0.02
"""Seconds between two questions whether it answers."""


def declared(directory: Path, environment: Mapping[str, str], release: str = "", warn: Say = lambda _: None) -> Stack:
    """Return the stack that a directory declares, of a release that is named or of none in particular.

    Tells `warn` of each variable that is used and not set. Raises `MisuseError` where a file is missing or wrong.
    """
    if release and not re.fullmatch("[0-9a-f]{12}", release):
        raise MisuseError(f"--release {release}: a release is named by 12 hexadecimal digits; see: invoke status")
    found = config.read(directory, environment, warn)
    stack = services.stack(found.model, found.files)
    return with_release(stack, release) if release else stack


def current(directory: Path, environment: Mapping[str, str], warn: Say = lambda _: None) -> Stack:
    """Return the stack that a directory declares, of the release that its files make; see `declared`."""
    stack = declared(directory, environment, warn=warn)
    build = next((service.build for service in stack.services if service.build), None)
    return with_release(stack, digest(files(build.context), build)) if build else stack


def require_release(engine: Engine, release: str) -> None:
    """Raise `MisuseError` where the engine has no image of a release that the operator named."""
    images = engine.observe().images
    if missing := [each.image for each in engine.stack.services if each.build and each.image not in images]:
        names = ", ".join(missing)
        raise MisuseError(
            f"--release {release}: there is no {names} here; see: invoke status, or make one: invoke build"
        )


def scaled(stack: Stack, wishes: Iterable[str]) -> Stack:
    """Return the stack with each `SERVICE=N` of the operator's wishes; raises `MisuseError` for one that cannot be."""
    for wish in wishes:
        name, _, number = wish.partition("=")
        if not number.isdecimal():
            raise MisuseError(f"--scale {wish}: say SERVICE=N, such as --scale worker=2")
        service = plan.scaled(stack, name, int(number))
        services = tuple(service if each.name == name else each for each in stack.services)
        stack = replace(stack, services=services)
    return stack


def steps_up(engine: Engine) -> tuple[plan.Step, ...]:
    """Return what `up` would do now; changes nothing."""
    recipes = {service.name: engine.recipe(service) for service in engine.stack.services}
    here = {name: recipe for name, recipe in recipes.items() if recipe is not None}
    found = engine.observe()
    return plan.up(engine.stack, found, here, unready=_unready(_asked(found)))


def up(engine: Engine, say: Say, *, force: bool = False) -> str:
    """Converge the stack, wait until it answers, and return its address (`http://host:port`).

    Images come first: only then is it known what replicas would be made from. Raises `EngineError` where it does not
    answer in time, `BusyError` where another `up` or `down` is at work, or a run whose worker would be replaced and
    `force` is not given.
    """
    with alone(engine.stack):
        steps = steps_up(engine)
        _refuse_taken_ports(engine, steps)
        _refuse_disturbing(engine, steps, force=force)
        if apply(engine, [step for step in steps if isinstance(step, plan.Prepare)], say):
            steps = steps_up(engine)
        apply(engine, [step for step in steps if not isinstance(step, plan.Prepare)], say)
        return _wait_until_ready(engine)


def down(engine: Engine, say: Say, *, volumes: bool = False, history: bool = False) -> bool:
    """Remove the stack, and its data and record of runs where named; return whether there was anything to remove."""
    with alone(engine.stack):
        return apply(engine, steps_down(engine, volumes=volumes, history=history), say)


def steps_down(engine: Engine, *, volumes: bool = False, history: bool = False) -> tuple[plan.Step, ...]:
    """Return what `down` would do now; changes nothing."""
    return plan.down(engine.stack, engine.observe(), engine.runs.records(), volumes=volumes, history=history)


def build(engine: Engine, say: Say) -> str:
    """Make available what the stack builds, where it is not, and return the release's name."""
    images = engine.observe().images
    built = [service for service in engine.stack.services if service.build]
    apply(engine, [plan.Prepare(service, "not here yet") for service in built if service.image not in images], say)
    return ", ".join(service.image.rpartition(":")[2] for service in built)


def status(engine: Engine) -> view.Status:
    """Return how the stack is now; asks its door."""
    found = engine.observe()
    said = _asked(found)
    said = replace(said, why=_reason(engine, found, said))
    return view.status(engine.stack, engine.name, found, said, url(found.address) if found.address else "")


def apply(engine: Engine, steps: Iterable[plan.Step], say: Say) -> bool:
    """Do the steps in their order, telling each; return whether there were any."""
    steps = tuple(steps)
    for step in steps:
        say(str(step))
        _apply(engine, step, say)
    return bool(steps)


def _apply(engine: Engine, step: plan.Step, say: Say) -> None:
    match step:
        case plan.Prepare(service):
            engine.prepare(service, lambda line: say(f"  {line}"))
        case plan.Provide(resource):
            engine.provide(resource)
        case plan.Withdraw(resource):
            engine.withdraw(resource)
        case plan.Remove(replica):
            engine.remove(replica)
        case plan.End(run):
            engine.runs.stop(run.id, lambda line: say(f"  {line}"))
        case plan.Forget(run):
            engine.runs.forget(run.id)
        case plan.Release(service):
            _release(engine, service, say)
        case plan.Create(service, number):
            if step.instead:
                engine.remove(step.instead)
            engine.create(service, number)


def _release(engine: Engine, service: Service, say: Say) -> None:
    """Run a service's release command; raises `ServiceError` with its last words where it fails."""
    source = oneoff.from_release(engine.stack)
    wanted = oneoff.order(service.release_command, source, reason="up", interactive=False, is_told=True)
    code, last = oneoff.told(engine, wanted, lambda line: say(f"  {line}"))
    if code:
        raise ServiceError(f"{last or 'it said nothing'} (exit code {code}, run {wanted.id}); what served serves on")


def found(engine: Engine) -> tuple[Engine, Snapshot]:
    """Return the engine and what is there; raises `NotUpError` where nothing of the stack runs."""
    snapshot = engine.observe()
    if not any(replica.is_running for replica in snapshot.running):
        raise NotUpError(f"the stack {engine.stack.project} is not up; try: invoke up")
    return engine, snapshot


def door(engine: Engine) -> str:
    """Return the URL of the stack's door; raises `NotUpError` where nothing that runs has one."""
    if address := found(engine)[1].address:
        return url(address)
    raise NotUpError(f"nothing of {engine.stack.project} that runs answers visitors; see: invoke status")


def _wait_until_ready(engine: Engine) -> str:
    deadline = time.monotonic() + READY_WITHIN
    look_again = 0.0
    snapshot = engine.observe()
    while not (said := _asked(snapshot)).ready:
        now = time.monotonic()
        if now > look_again:
            snapshot, look_again = engine.observe(), now + 1
            _refuse_dead(engine, snapshot)
        if now > deadline:
            raise EngineError(_why_not_ready(snapshot, _reason(engine, snapshot, said)))
        time.sleep(ASK_EVERY)
    return url(snapshot.address)


def _refuse_dead(engine: Engine, snapshot: Snapshot) -> None:
    """Raise `EngineError` with a dead replica's last words."""
    for replica in snapshot.running:
        if not replica.is_running:
            words = b"".join(engine.logs(replica, follow=False)).decode(errors="replace").strip().splitlines()
            last = f": {words[-1]}" if words else ""
            raise EngineError(f"{replica.name} is {replica.state}{last}; see: invoke logs {replica.service}")


def _asked(snapshot: Snapshot) -> Said:
    return ask(snapshot.address) if snapshot.address else Said()


def _unready(said: Said) -> str:
    """Return why what serves is not ready, as the cause of a step; an empty string where it does not say so."""
    if said.lacking:
        return f"the data lacks revision {said.lacking}"
    return "" if said.ready or not said.why else f"what serves is not ready ({said.why})"


def _reason(engine: Engine, snapshot: Snapshot, said: Said) -> str:
    """Return why what serves is not ready; its log tells the operator more of it than visitors may know."""
    deadline = time.monotonic() + LOGGED_WITHIN
    while said.why and time.monotonic() < deadline:
        with contextlib.suppress(TwelfthError):  # a log that this engine cannot read
            for replica in snapshot.running:
                lines = journal.whole_lines(engine.logs(replica, follow=False, last=LOGGED_LINES))
                if error := journal.logged_error(lines, said.request):
                    return view.printable(error)
        time.sleep(ASK_EVERY)
    return said.why


def _why_not_ready(snapshot: Snapshot, why: str) -> str:
    states = why or ", ".join(f"{one.name} {one.health or one.state}" for one in snapshot.running)
    return f"the stack is not ready after {READY_WITHIN:g} s ({states}); see: invoke logs"


def _refuse_disturbing(engine: Engine, steps: Iterable[plan.Step], *, force: bool) -> None:
    if not force and (runs := plan.disturbed(steps, engine.runs.records())):
        names = ", ".join(f"{run.id} ({' '.join(shlex.join(run.command).split())[:40]})" for run in runs)
        raise BusyError(
            f"this would replace the release under a run: {names}; invoke stop {runs[0].id}, or: invoke up --force"
        )


def _refuse_taken_ports(engine: Engine, steps: Iterable[plan.Step]) -> None:
    """Raise `MisuseError` for a port that somebody else has, before anything is touched."""
    for step in steps:
        if isinstance(step, plan.Create) and step.number == 1 and step.instead is None:
            for port in engine.doors(step.service):
                if why := ports.why_taken(port.host, port.published):
                    hint = f"stop what listens there, or: PORT={port.published + 1} invoke up"
                    raise MisuseError(f"port {port.published} is not free ({why}); {hint}")
