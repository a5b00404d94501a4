"""What was deployed here and how it was scaled, kept in `.twelfth/`: an `up` goes by it, and a rollback."""

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
"""How many deploys are kept."""


@dataclass(frozen=True)
class Deploy:
    """A release that was deployed: when (ISO 8601 in UTC) and by whom."""

    release: str
    at: str
    operator: str


@dataclass(frozen=True)
class Deploys:
    """The releases that were deployed, the last one last, and the numbers of replicas that the operator asked for.

    `built` are the releases that were made for this stack: an image may have been made for another one. `accepted` is
    what the operator has accepted that the engine does not protect.
    """

    deployed: tuple[Deploy, ...] = ()
    scale: Mapping[str, int] = field(default_factory=dict)
    built: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


def read_deploys(stack: Stack) -> Deploys:
    """Return what is kept; nothing where the file is not there or garbled."""
    return _read(_path(stack))


def _read(path: Path) -> Deploys:
    try:
        values = json.loads(path.read_text("utf-8"))
        scale = {str(name): int(number) for name, number in values["scale"].items()}
        deployed = tuple(Deploy(**each) for each in values["deployed"])
        accepted = tuple(map(str, values.get("accepted", ())))
        return Deploys(deployed, scale, tuple(map(str, values["built"])), accepted)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Deploys()


def read_others(stack: Stack) -> tuple[Deploys, ...]:
    """Return the deploys of the other stacks of this directory, which share its releases."""
    own, others = _path(stack), _path(stack).parent.glob(f"*{SUFFIX}")
    return tuple(_read(path) for path in sorted(others) if path != own)


def note_deploy(stack: Stack, release: str, operator: str) -> None:
    """Note that a release serves from now on; raises `EngineError` where that cannot be written."""
    _change(stack, lambda found: _with_deploy(found, release, operator))


def note_rollback(stack: Stack, release: str, operator: str) -> None:
    """Note that an earlier release serves again: what was deployed after it is none to go back to.

    Raises `EngineError` where that cannot be written.
    """

    def back(found: Deploys) -> Deploys:
        places = [place for place, each in enumerate(found.deployed, 1) if each.release == release]
        return _with_deploy(replace(found, deployed=found.deployed[: max(places, default=None)]), release, operator)

    _change(stack, back)


def _with_deploy(found: Deploys, release: str, operator: str) -> Deploys:
    """Return what is kept with a deploy of a release, unless it is that of the last one."""
    if [release] == [each.release for each in found.deployed[-1:]]:
        return found
    now = Deploy(release, datetime.now(UTC).isoformat(timespec="seconds"), operator)
    return replace(found, deployed=(*found.deployed, now)[-MOST:])


def note_build(stack: Stack, release: str) -> None:
    """Note that a release was made for this stack; raises `EngineError` where that cannot be written."""
    _change(stack, lambda found: replace(found, built=tuple(dict.fromkeys((*found.built, release)))[-MOST:]))


def note_accepted(stack: Stack, losses: tuple[str, ...]) -> None:
    """Note what is accepted that the engine does not protect; raises `EngineError` where that cannot be written."""
    _change(stack, lambda found: replace(found, accepted=losses))


def note_scale(stack: Stack, service: str, replicas: int) -> None:
    """Note how many replicas a service is to have; raises `EngineError` where that cannot be written."""
    _change(stack, lambda found: replace(found, scale={**found.scale, service: replicas}))


def forget_deploys(stack: Stack) -> None:
    """Remove what is kept, as nothing of the stack is left, but for which images are its own: `prune` asks that."""
    _change(stack, lambda found: Deploys(built=found.built))


def scaled_as_before(stack: Stack) -> Stack:
    """Return the stack with the numbers of replicas that were asked for last, where a service still can have them."""
    for name, replicas in read_deploys(stack).scale.items():
        if (service := stack.service(name)) and not service.why_single:
            stack = stack.with_service(replace(service, replicas=replicas))
    return stack


def _change(stack: Stack, change: Callable[[Deploys], Deploys]) -> None:
    """Change what is kept, with nobody else at it: a `build` holds no lock of the stack's."""
    path = _path(stack)
    staged = path.with_suffix(".new")
    with disk_errors(path, REPEAT):
        make_own_directory(path.parent)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            found = read_deploys(stack)
            if (deploys := change(found)) == Deploys():
                path.unlink(missing_ok=True)
            elif deploys != found:
                staged.write_text(json.dumps(asdict(deploys), indent=1), "utf-8")
                staged.replace(path)
        finally:
            os.close(directory)


def _path(stack: Stack) -> Path:
    return stack.directory / ".twelfth" / f"{stack.project}{SUFFIX}"
