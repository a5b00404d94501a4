"""The deploys of a stack and its numbers of replicas, stored with the stack for the next `up` and for `rollback`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from twelfth.engines.state import State
    from twelfth.model.stack import Stack

DIRECTORY = "stack"
DEPLOYS, SCALE, ACCEPTED = "deploys.json", "scale.json", "accepted.json"
BUILT = "built-"
"""Prefix of the file of a release that was built: `build` runs without the lock of the stack."""

MOST = 50
"""Deploys that are kept."""


@dataclass(frozen=True)
class Deploy:
    """A deploy of a release: when it ended (ISO 8601 in UTC), by whom, and how."""

    release: str
    at: str
    operator: str
    is_rollback: bool = False
    has_failed: bool = False


@dataclass(frozen=True)
class Deploys:
    """The deploys, the latest last, and the numbers of replicas that an operator has set.

    `built` are the releases that were built for this stack; an image may have been built for another one. `accepted`
    are the protections that the engine lacks and the operator does without.
    """

    all: tuple[Deploy, ...] = ()
    scale: Mapping[str, int] = field(default_factory=dict)
    built: frozenset[str] = frozenset()
    accepted: tuple[str, ...] = ()

    @property
    def deployed(self) -> tuple[Deploy, ...]:
        """The deploys that a rollback can go back through.

        A rollback takes back the deploys after the one that it goes to, so that the next rollback goes back further.
        """
        deployed: list[Deploy] = []
        for deploy in (deploy for deploy in self.all if not deploy.has_failed):
            places = [place for place, earlier in enumerate(deployed, 1) if earlier.release == deploy.release]
            if deploy.is_rollback and places:
                del deployed[places[-1] :]
            elif [deploy.release] != [earlier.release for earlier in deployed[-1:]]:
                deployed.append(deploy)
        return tuple(deployed)

    @property
    def latest(self) -> Deploy | None:
        """The last successful deploy."""
        return next((deploy for deploy in reversed(self.all) if not deploy.has_failed), None)

    def last(self, release: str, *, has_failed: bool) -> str:
        """Return when a deploy of a release last succeeded, or failed; "" for never."""
        times = [deploy.at for deploy in self.all if (deploy.release, deploy.has_failed) == (release, has_failed)]
        return max(times, default="")


def read_deploys(state: State) -> Deploys:
    """Return the recorded deploys; what is missing or damaged counts as empty."""
    files = state.read(DIRECTORY)
    deploys, scale, accepted = (_parsed(files.get(name, b"")) for name in (DEPLOYS, SCALE, ACCEPTED))
    return Deploys(
        tuple(_deploys(deploys if isinstance(deploys, list) else ())),
        {name: number for name, number in scale.items() if isinstance(number, int)} if isinstance(scale, dict) else {},
        frozenset(name.removeprefix(BUILT) for name in files if name.startswith(BUILT)),
        tuple(map(str, accepted if isinstance(accepted, list) else ())),
    )


def _parsed(content: bytes) -> object:
    try:
        values: object = json.loads(content)
    except ValueError:
        return None
    return values


def _deploys(values: Iterable[Any]) -> Iterable[Deploy]:
    for value in values:
        try:
            yield Deploy(**value)
        except TypeError:
            continue


def note_deploy(
    state: State, release: str, operator: str, *, is_rollback: bool = False, has_failed: bool = False
) -> None:
    """Record a deploy, unless the release was also the last one to be deployed; raises `EngineError`."""
    deploys = read_deploys(state)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    deploy = Deploy(release, now, operator, is_rollback, has_failed)
    last = deploys.all[-1] if deploys.all else None
    if last is None or replace(last, at=now, operator=operator) != deploy:
        _write(state, DEPLOYS, [asdict(earlier) for earlier in (*deploys.all, deploy)[-MOST:]])


def note_build(state: State, release: str) -> None:
    """Record that a release was built for this stack; raises `EngineError`."""
    if release and release not in read_deploys(state).built:
        state.write({f"{DIRECTORY}/{BUILT}{release}": b""})


def note_accepted(state: State, losses: tuple[str, ...]) -> None:
    """Record the accepted losses of protection; raises `EngineError`."""
    if losses != read_deploys(state).accepted:
        _write(state, ACCEPTED, list(losses))


def note_scale(state: State, numbers: Mapping[str, int]) -> None:
    """Record the numbers of replicas of services; raises `EngineError`."""
    scale = read_deploys(state).scale
    if scale != {**scale, **numbers}:
        _write(state, SCALE, {**scale, **numbers})


def forget_deploys(state: State) -> None:
    """Forget everything except the built releases, which `prune` still needs."""
    deploys = read_deploys(state)
    if deploys != (empty := Deploys(built=deploys.built)):
        write_deploys(state, empty)


def write_deploys(state: State, deploys: Deploys) -> None:
    """Replace the whole record; raises `EngineError`."""
    values = {DEPLOYS: list(map(asdict, deploys.all)), SCALE: dict(deploys.scale), ACCEPTED: list(deploys.accepted)}
    files = {f"{DIRECTORY}/{name}": json.dumps(value).encode() for name, value in values.items()}
    state.write(files | {f"{DIRECTORY}/{BUILT}{release}": b"" for release in deploys.built})


def scaled_as_before(stack: Stack, state: State) -> Stack:
    """Return the stack with the recorded numbers of replicas, except for services that can have only one."""
    for name, replicas in read_deploys(state).scale.items():
        if (service := stack.service(name)) and not service.why_single:
            stack = stack.with_service(replace(service, replicas=replicas))
    return stack


def _write(state: State, name: str, value: object) -> None:
    state.write({f"{DIRECTORY}/{name}": json.dumps(value).encode()})
