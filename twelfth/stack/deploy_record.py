"""The deploys of a stack and its numbers of replicas, stored with the stack for the next `up` and for `rollback`.

Each deploy and each number is in a separate file, since a full disk can tear a file that is being replaced. Files
cannot be deleted singly, so the names of deploys are used again.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.runs import job_images

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from twelfth.engines.state import State
    from twelfth.model.stack import Stack

DIRECTORY = job_images.DIRECTORY
SCALE, BUILT, ACCEPTED, TRIAL = "scale-", "built-", "accepted.json", "trial-"
"""The prefixes of files of a service's number of replicas and of a release that was built, the file of losses, and the
prefix of files of a service's last trial."""

MOST = {False: 50, True: 20}
"""Deploys that are kept, by whether they failed."""


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
    trials: Mapping[str, float] = field(default_factory=dict)
    """The seconds that the last candidate of a service took to start and stop."""

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
    accepted = _parsed(files.get(ACCEPTED, b""))
    return Deploys(
        tuple(deploy for _, deploy in _entries(files)),
        {name.removeprefix(SCALE): int(text) for name, text in files.items() if _is_scale(name, text)},
        frozenset(name.removeprefix(BUILT) for name in files if name.startswith(BUILT)),
        tuple(map(str, accepted if isinstance(accepted, list) else ())),
        {name.removeprefix(TRIAL): float(text) for name, text in files.items() if _is_trial(name, text)},
    )


def _is_scale(name: str, text: bytes) -> bool:
    return name.startswith(SCALE) and bool(re.fullmatch(rb"[1-9][0-9]{0,8}", text))


def _is_trial(name: str, text: bytes) -> bool:
    return name.startswith(TRIAL) and bool(re.fullmatch(rb"[0-9]{1,6}\.[0-9]", text))


def _parsed(content: bytes) -> object:
    try:
        values: object = json.loads(content)
    except ValueError:
        return None
    return values


def _entries(files: Mapping[str, bytes]) -> list[tuple[int, Deploy]]:
    """Return the deploys with their numbers, the oldest first."""
    entries = []
    for content in (content for name, content in files.items() if name.startswith("deploy")):
        values = _parsed(content)
        if isinstance(values, dict) and isinstance(number := values.pop("number", None), int):
            try:
                entries.append((number, Deploy(**values)))
            except TypeError:
                continue
    return sorted(entries, key=lambda entry: entry[0])


def _file(number: int, deploy: Deploy) -> dict[str, bytes]:
    kind = "deploy-failed" if deploy.has_failed else "deploy"
    path = f"{DIRECTORY}/{kind}-{number % MOST[deploy.has_failed]:02}.json"
    return {path: json.dumps({"number": number, **asdict(deploy)}).encode()}


def note_deploy(
    state: State, release: str, operator: str, *, is_rollback: bool = False, has_failed: bool = False
) -> None:
    """Record a deploy; a repeated one replaces the last entry; raises `EngineError`."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    deploy = Deploy(release, now, operator, is_rollback, has_failed)
    entries = _entries(state.read(DIRECTORY))
    number, last = entries[-1] if entries else (0, None)
    is_repeated = last is not None and replace(last, at=now, operator=operator) == deploy
    state.write(_file(number if is_repeated else number + 1, deploy))


def note_build(state: State, release: str) -> None:
    """Record that a release was built for this stack; raises `EngineError`."""
    if release and release not in read_deploys(state).built:
        state.write({f"{DIRECTORY}/{BUILT}{release}": b""})


def note_accepted(state: State, losses: tuple[str, ...]) -> None:
    """Record the accepted losses of protection; raises `EngineError`."""
    if losses != read_deploys(state).accepted:
        state.write({f"{DIRECTORY}/{ACCEPTED}": json.dumps(losses).encode()})


def note_scale(state: State, numbers: Mapping[str, int]) -> None:
    """Record the numbers of replicas of services; raises `EngineError`."""
    scale = read_deploys(state).scale
    changed = {service: number for service, number in numbers.items() if scale.get(service) != number}
    if changed:
        state.write({f"{DIRECTORY}/{SCALE}{service}": str(number).encode() for service, number in changed.items()})


def note_trial(state: State, service: str, seconds: float) -> None:
    """Record how long the candidate of a service took to start and stop; raises `EngineError`."""
    state.write({f"{DIRECTORY}/{TRIAL}{service}": f"{seconds:.1f}".encode()})


def forget_deploys(state: State) -> None:
    """Forget everything, also the images of jobs, except the built releases, which `prune` still needs."""
    files = [name for name, content in state.read(DIRECTORY).items() if content and not name.startswith(BUILT)]
    known = [name for name in files if name.startswith(("deploy", SCALE, TRIAL, job_images.PREFIX)) or name == ACCEPTED]
    if known:
        state.write({f"{DIRECTORY}/{name}": b"" for name in known})


def write_deploys(state: State, deploys: Deploys) -> None:
    """Add a whole record; raises `EngineError`."""
    files = {f"{DIRECTORY}/{BUILT}{release}": b"" for release in deploys.built}
    files |= {f"{DIRECTORY}/{SCALE}{service}": str(number).encode() for service, number in deploys.scale.items()}
    files[f"{DIRECTORY}/{ACCEPTED}"] = json.dumps(deploys.accepted).encode()
    for number, deploy in enumerate(deploys.all, 1):
        files |= _file(number, deploy)
    state.write(files)


def why_not_scaled(stack: Stack, scale: Mapping[str, int]) -> Iterator[str]:
    """Yield a warning for each service that was scaled before, and can have only one replica now."""
    for name, replicas in scale.items():
        service = stack.service(name)
        if service and replicas > 1 and (why := service.why_single):
            yield f"{name} has 1 replica, no longer {replicas}: it {why}"


def scaled_as_before(stack: Stack, scale: Mapping[str, int], besides: Collection[str] = ()) -> Stack:
    """Return the stack with the recorded numbers of replicas, except for services that can have only one.

    Services in `besides` keep their number.
    """
    for name, replicas in scale.items():
        service = None if name in besides else stack.service(name)
        if service and not service.why_single:
            stack = stack.with_service(replace(service, replicas=replicas))
    return stack
