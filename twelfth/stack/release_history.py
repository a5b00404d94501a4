"""Which release to go back to, and which nothing needs any more: pure decisions, and the list for `releases`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, MisuseError, NotUpError
from twelfth.stack.deploy_record import read_deploys, read_others
from twelfth.stack.steps import RemoveRelease

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import BuiltRelease, Snapshot
    from twelfth.stack.deploy_record import Deploy

KEPT = 5
"""How many releases are kept, where nothing else is said."""


@dataclass(frozen=True)
class ReleaseStatus:
    """A release that is here; `serving` says whether a replica of it serves, times are ISO 8601 in UTC."""

    id: str
    built: str
    operator: str
    serving: bool
    size: int


def releases(engine: Engine) -> tuple[ReleaseStatus, ...]:
    """Return the releases that are here, the newest first."""
    serving = {each.release for each in engine.observe().replicas if each.serves}
    return tuple(
        ReleaseStatus(each.id, each.built, each.operator, each.id in serving, each.size) for each in engine.releases()
    )


def to_roll_back_to(engine: Engine, release: str = "") -> str:
    """Return the release that is named, by its beginning, or else the one that was deployed before the one that is up.

    Raises `MisuseError` where it is not here, and `NotUpError` where none is up or there was none before.
    """
    here = [each.id for each in engine.releases()]
    if release:
        found = [each for each in here if each.startswith(release)]
        if len(found) != 1:
            why = f"begins {len(found)} releases that are" if found else "is not"
            raise MisuseError(f"rollback {release}: it {why} here; see: invoke releases")
        return found[0]
    replicas = [each for each in engine.observe().replicas if each.release]
    now = {each.release for each in replicas if each.serves} or {each.release for each in replicas}
    if not now:
        raise NotUpError("no release is up that could be rolled back; try: invoke up")
    if found_before := _before(now, read_deploys(engine.stack).deployed, here):
        return found_before
    raise NotUpError("there is no release here that served before this one; see: invoke releases")


def previous_release(engine: Engine) -> str:
    """Return the release that `rollback` would deploy, "" if there is none."""
    try:
        return to_roll_back_to(engine)
    except (EngineError, MisuseError, NotUpError):
        return ""


def _before(serving: Collection[str], deployed: Iterable[Deploy], here: Collection[str]) -> str:
    """Return the release that was deployed last before those that serve, of those that are here; or nothing.

    Where several serve, for that a deploy stopped half way, it is one of them: the one that was deployed before it.
    """
    order = [each.release for each in deployed]
    last = max((place for place, each in enumerate(order) if each in serving), default=len(order))
    newest = order[last] if last < len(order) else ""
    return next((each for each in reversed(order[:last]) if each != newest and each in here), "")


def needed(engine: Engine, snapshot: Snapshot) -> frozenset[str]:
    """Return the running releases of this stack, and the one that `rollback` would deploy."""
    running = {replica.release for replica in snapshot.replicas if replica.release}
    here = [release.id for release in engine.releases()]
    before = _before(running, read_deploys(engine.stack).deployed, here)
    return frozenset({*running, before} - {""})


def plan_prune(engine: Engine, keep: int = KEPT) -> tuple[RemoveRelease, ...]:
    """Return the steps that remove the releases that nothing needs; changes nothing."""
    used = {each.release for each in engine.observe().replicas}
    used |= {run.release for run in engine.runs.records() if run.is_running}
    deploys, here = read_deploys(engine.stack), engine.releases()
    names = [each.id for each in here]
    used.add(_before(used, deploys.deployed, names))  # what `rollback` would deploy
    for other in (each.deployed for each in read_others(engine.stack) if each.deployed):
        used |= {other[-1].release, _before({other[-1].release}, other, names)}
    own = [each for each in here if engine.has_own_releases or each.id in deploys.built]
    return prunable(own, used, keep)


def prunable(releases: Iterable[BuiltRelease], used: Collection[str], keep: int) -> tuple[RemoveRelease, ...]:
    """Return the steps that remove all releases but the newest `keep`, and but those that are used."""
    old = list(releases)[keep:]
    return tuple(RemoveRelease(each, f"the newest {keep} are kept") for each in old if each.id not in used)
