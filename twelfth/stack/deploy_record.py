"""The deploys of a stack and its numbers of replicas, kept in `.twelfth/` for the next `up` and for `rollback`."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.engines.disk_errors import REPEAT, disk_errors
from twelfth.engines.own_directory import make_own_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from twelfth.model.stack import Stack

SUFFIX = ".deploys.json"
MOST = 50
"""Deploys that are kept."""


@dataclass(frozen=True)
class Deploy:
    """A release that was deployed, at a time (ISO 8601 in UTC), by an operator."""

    release: str
    at: str
    operator: str


@dataclass(frozen=True)
class Deploys:
    """The deployed releases, the latest last, and the numbers of replicas that the operator has set.

    `built` are the releases that were built for this stack; an image may have been built for another one. `accepted`
    are the protections that the engine lacks and the operator does without.
    """

    deployed: tuple[Deploy, ...] = ()
    scale: Mapping[str, int] = field(default_factory=dict)
    built: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


def read_deploys(stack: Stack) -> Deploys:
    """Return the recorded deploys, none if the file is missing or damaged."""
    return _read(_path(stack))


def _read(path: Path) -> Deploys:
    try:
        values = json.loads(path.read_text("utf-8"))
        scale = {str(name): int(number) for name, number in values["scale"].items()}
        deployed = tuple(Deploy(**deploy) for deploy in values["deployed"])
        accepted = tuple(map(str, values.get("accepted", ())))
        return Deploys(deployed, scale, tuple(map(str, values["built"])), accepted)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Deploys()


def read_others(stack: Stack) -> tuple[Deploys, ...]:
    """Return the deploys of the other stacks of this directory, which share its releases."""
    paths = sorted(_path(stack).parent.glob(f"*{SUFFIX}"))
    return tuple(_read(path) for path in paths if path != _path(stack))


def note_deploy(stack: Stack, release: str, operator: str) -> None:
    """Record a deploy; raises `EngineError` if that cannot be written."""
    _change(stack, lambda deploys: _with_deploy(deploys, release, operator))


def note_rollback(stack: Stack, release: str, operator: str) -> None:
    """Record a rollback and forget the later deploys, so that the next rollback goes back further.

    Raises `EngineError` if that cannot be written.
    """

    def back(deploys: Deploys) -> Deploys:
        places = [place for place, deploy in enumerate(deploys.deployed, 1) if deploy.release == release]
        earlier = replace(deploys, deployed=deploys.deployed[: max(places, default=None)])
        return _with_deploy(earlier, release, operator)

    _change(stack, back)


def _with_deploy(deploys: Deploys, release: str, operator: str) -> Deploys:
    if [release] == [deploy.release for deploy in deploys.deployed[-1:]]:
        return deploys
    now = Deploy(release, datetime.now(UTC).isoformat(timespec="seconds"), operator)
    return replace(deploys, deployed=(*deploys.deployed, now)[-MOST:])


def note_build(stack: Stack, release: str) -> None:
    """Record that a release was built for this stack; raises `EngineError` if that cannot be written."""
    _change(stack, lambda deploys: replace(deploys, built=tuple(dict.fromkeys((*deploys.built, release)))[-MOST:]))


def note_accepted(stack: Stack, losses: tuple[str, ...]) -> None:
    """Record the accepted losses of protection; raises `EngineError` if that cannot be written."""
    _change(stack, lambda deploys: replace(deploys, accepted=losses))


def note_scale(stack: Stack, service: str, replicas: int) -> None:
    """Record the number of replicas of a service; raises `EngineError` if that cannot be written."""
    _change(stack, lambda deploys: replace(deploys, scale={**deploys.scale, service: replicas}))


def forget_deploys(stack: Stack) -> None:
    """Forget everything except the built releases, which `prune` still needs."""
    _change(stack, lambda deploys: Deploys(built=deploys.built))


def scaled_as_before(stack: Stack) -> Stack:
    """Return the stack with the recorded numbers of replicas, except for services that can have only one."""
    for name, replicas in read_deploys(stack).scale.items():
        if (service := stack.service(name)) and not service.why_single:
            stack = stack.with_service(replace(service, replicas=replicas))
    return stack


def _change(stack: Stack, change: Callable[[Deploys], Deploys]) -> None:
    # The lock is on the directory, since `build` runs without the stack's lock.
    path = _path(stack)
    staged = path.with_suffix(".new")
    with disk_errors(path, REPEAT):
        make_own_directory(path.parent)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            previous = read_deploys(stack)
            if (deploys := change(previous)) == Deploys():
                path.unlink(missing_ok=True)
            elif deploys != previous:
                staged.write_text(json.dumps(asdict(deploys), indent=1), "utf-8")
                staged.replace(path)
        finally:
            os.close(directory)


def _path(stack: Stack) -> Path:
    return stack.directory / ".twelfth" / f"{stack.project}{SUFFIX}"
