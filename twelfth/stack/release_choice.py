"""The releases of a stack: which exist, which one `rollback` deploys, and which are unused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, MisuseError, NotUpError
from twelfth.stack.deploy_record import read_deploys
from twelfth.stack.pins import stack_releases
from twelfth.stack.steps import RemoveRelease

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import BuiltRelease, Snapshot
    from twelfth.stack.deploy_record import Deploy, Deploys

KEPT = 5
"""Releases that are kept by default."""


@dataclass(frozen=True)
class ReleaseStatus:
    """A release; `serving` is True if a replica of it is running and admitted. Times are ISO 8601 in UTC.

    `references` are the names under which its image was pulled, () if it was built.
    `deployed` and `failed` are the times of its last deploy that succeeded and that failed, "" if there was none.
    `is_previous` is True for the release that `rollback` deploys.
    """

    id: str
    built: str
    operator: str
    serving: bool
    size: int
    deployed: str = ""
    failed: str = ""
    is_previous: bool = False
    references: tuple[str, ...] = ()


def releases(engine: Engine) -> tuple[ReleaseStatus, ...]:
    """Return the releases that were built or pulled for this stack, the newest first.

    Stacks of other projects may build images of the same name; their releases are omitted unless this stack has
    deployed them.
    """
    serving = {replica.release for replica in engine.observe().replicas if replica.serves}
    deploys, previous = read_deploys(engine.state), previous_release(engine)
    known = serving | deploys.built | {deploy.release for deploy in deploys.all}
    return tuple(
        ReleaseStatus(
            release.id,
            release.built,
            release.operator,
            release.id in serving,
            release.size,
            deploys.last(release.id, has_failed=False),
            deploys.last(release.id, has_failed=True),
            release.id == previous,
            release.references,
        )
        for release in stack_releases(engine)
        if release.project in {"", engine.stack.project} or release.id in known
    )


def to_roll_back_to(engine: Engine, prefix: str = "") -> str:
    """Return the release with the given prefix, by default the one that was deployed before the running one.

    Raises `MisuseError` for a prefix of no release or several, `NotUpError` if nothing runs or nothing ran before.
    """
    built = [release.id for release in stack_releases(engine)]
    if prefix:
        matches = [name for name in built if name.startswith(prefix)]
        if len(matches) != 1:
            why = f"{len(matches)} releases start with {prefix}" if matches else f"release {prefix} is not built"
            raise MisuseError(f"cannot roll back: {why}. Try: invoke releases")
        return matches[0]
    replicas = [replica for replica in engine.observe().replicas if replica.release]
    running = {replica.release for replica in replicas if replica.serves} or {replica.release for replica in replicas}
    if not running:
        raise NotUpError("cannot roll back: no release is running. Try: invoke up")
    if previous := _previous(running, read_deploys(engine.state).deployed, built):
        return previous
    names = " and ".join(sorted(running))
    raise NotUpError(f"cannot roll back: no release from before {names} is still built. Try: invoke releases")


def previous_release(engine: Engine) -> str:
    """Return the release that `rollback` would deploy, "" if there is none."""
    try:
        return to_roll_back_to(engine)
    except (EngineError, MisuseError, NotUpError):
        return ""


def _previous(running: Collection[str], deployed: Iterable[Deploy], built: Collection[str]) -> str:
    """Return the latest release, of those that are built, that was deployed before the running ones; or "".

    If a deploy stopped half way, two releases run, and the older one is the previous one. The newer one may be in no
    list, since its deploy did not succeed.
    """
    order = [deploy.release for deploy in deployed]
    if set(running) - set(order):
        return next((release for release in reversed(order) if release in built), "")
    last = max((place for place, release in enumerate(order) if release in running), default=len(order))
    newest = order[last] if last < len(order) else ""
    return next((release for release in reversed(order[:last]) if release != newest and release in built), "")


def needed(engine: Engine, snapshot: Snapshot) -> frozenset[str]:
    """Return the running releases of this stack, and the one that `rollback` would deploy."""
    running = {replica.release for replica in snapshot.replicas if replica.release}
    built = [release.id for release in stack_releases(engine)]
    previous = _previous(running, read_deploys(engine.state).deployed, built)
    return frozenset({*running, previous} - {""})


def plan_prune(engine: Engine, keep: int = KEPT) -> tuple[RemoveRelease, ...]:
    """Return the steps that remove unused releases."""
    used = {replica.release for replica in engine.observe().replicas}
    used |= {run.release for run in engine.runs.records() if run.is_running}
    used -= {""}  # of services without releases
    deploys, releases = read_deploys(engine.state), stack_releases(engine)
    used.add(_previous(used, deploys.deployed, [release.id for release in releases]))
    deployed_here = [release for release in releases if release.references or release.id in deploys.built]
    return prunable(deployed_here, deploys, used, keep)


def prunable(
    releases: Iterable[BuiltRelease], deploys: Deploys, used: Collection[str], keep: int
) -> tuple[RemoveRelease, ...]:
    """Return the steps that remove all releases except the newest `keep` and those that are used.

    Releases that were deployed come first, the last one before the others; those of failed deploys come last. A release
    that was built after the last deploy and never deployed stays: it is about to be.
    """
    last = deploys.latest.at if deploys.latest else ""

    def rank(release: BuiltRelease) -> tuple[bool, bool, datetime]:
        deployed = deploys.last(release.id, has_failed=False)
        failed = deploys.last(release.id, has_failed=True)
        return bool(deployed), not failed, datetime.fromisoformat(deployed or release.built)

    def is_new(release: BuiltRelease) -> bool:
        was_deployed = any(deploy.release == release.id for deploy in deploys.all)
        return bool(last) and not was_deployed and datetime.fromisoformat(release.built) > datetime.fromisoformat(last)

    old = sorted((release for release in releases if not is_new(release)), key=rank, reverse=True)[keep:]
    return tuple(RemoveRelease(release, f"the last {keep} are kept") for release in old if release.id not in used)
