"""Decide the steps that replace, add and remove the replicas of one service; pure.

A new replica is created next to the old ones and admitted when it is ready. Only then an old one is drained and
removed, and the next one follows. So there are always old replicas until new ones are ready (docs/deploys.md). The new
one has the number of the old one.

A service that can have only one replica, because it publishes a port or keeps data, is replaced in place. If that was
interrupted, both replicas exist: the next `up` continues if the new one has the current recipe, and else removes it.

A replica stays if only configuration files have changed and its service declares how to reload them. One that has
exited is started again if nothing has changed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twelfth.model.snapshot import differences
from twelfth.stack.steps import (
    AdmitReplica,
    CompleteReplica,
    CreateReplica,
    ReloadReplica,
    RemoveReplica,
    RemoveService,
    ReplaceReplica,
    RollService,
    StartReplica,
    StopReplica,
    TryReplica,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe, Replica, Snapshot
    from twelfth.stack.steps import Step

    Pair = tuple[Replica, Replica]


@dataclass(frozen=True)
class _Sorted:
    """The replicas of a service, grouped by what happens to them; a pair is an old replica and its replacement.

    `left` are replicas that an interrupted `up` created and did not admit. `replaced` have a replacement that serves.
    `bad` have another recipe or do not run.
    """

    serving: list[Replica]
    stopped: list[Replica]
    left: list[Replica]
    replaced: list[Replica]
    bad: list[Replica]
    continued: list[Pair]
    abandoned: list[Pair]


def _sort(service: Service, replicas: tuple[Replica, ...], recipe: Recipe) -> _Sorted:
    by_id = {replica.id: replica for replica in replicas}
    pairs = [(by_id[new.replaces], new) for new in replicas if new.replaces in by_id]
    in_place = [(old, new) for old, new in pairs if _is_in_place(service, old)]
    continuable = [(old, new) for old, new in in_place if _can_continue(recipe, new)]
    paired = [*(new for _, new in in_place), *(old for old, _ in continuable)]
    unpaired = [replica for replica in replicas if replica not in paired]
    good = [replica for replica in unpaired if replica.is_running and can_have(service, recipe, replica)]
    at_once = [pair for pair in pairs if pair not in in_place]
    abandoned = [(old, new) for old, new in at_once if old.is_running and new not in good]
    replaced = [old for old, new in at_once if new in good and new.is_admitted]
    unpaired = [replica for replica in unpaired if replica not in [*replaced, *(new for _, new in abandoned)]]
    serving = [replica for replica in good if replica.is_admitted and replica not in replaced]
    stopped = [replica for replica in unpaired if replica.is_stopped and not differences(recipe, replica.recipe)]
    stopped = stopped[: max(service.replicas - len(serving), 0)]
    missing = max(service.replicas - len(serving) - len(stopped), 0)
    return _Sorted(
        serving,
        stopped,
        [replica for replica in good if not replica.is_admitted],
        replaced,
        [
            *(replica for replica in unpaired if replica not in [*good, *stopped]),
            *(old for old, _ in continuable[missing:]),
        ],
        continuable[:missing],
        [*(pair for pair in in_place if pair not in continuable[:missing]), *abandoned],
    )


def roll(service: Service, snapshot: Snapshot, recipe: Recipe) -> Iterator[Step]:
    """Yield the steps after which a service has its number of replicas, all made from `recipe`."""
    candidates = [replica for replica in snapshot.replicas_of(service.name) if replica.is_candidate]
    others = tuple(replica for replica in snapshot.replicas if replica not in candidates)
    yield from (RemoveReplica(candidate, "its trial was interrupted") for candidate in candidates)
    yield from _roll(service, replace(snapshot, replicas=others), recipe)


def _roll(service: Service, snapshot: Snapshot, recipe: Recipe) -> Iterator[Step]:
    replicas = _sort(service, snapshot.replicas_of(service.name), recipe)
    for _, new in replicas.abandoned:
        yield RemoveReplica(new, "its deploy was interrupted")
    for replica in replicas.serving[: service.replicas]:
        if differences(recipe, replica.recipe):
            yield ReloadReplica(service, replica, _cause(recipe, replica))
    for replica in replicas.stopped:
        yield StartReplica(service, replica, replica.state)
    for old, new in replicas.continued:
        yield ReplaceReplica(service, new.number, old, "its replacement was interrupted")
    for replica in replicas.replaced:
        yield RemoveReplica(replica, "replaced by the new one")
    left = list(replicas.left)
    # Those without requests come first, then those whose replacement exists.
    bad = sorted(replicas.bad, key=lambda replica: (replica.serves, not _replacements(replica, left)))
    spare = max(len(bad) - service.replicas, 0) if service.is_replaced_in_place else 0
    surplus = bad[:spare]  # after a killed `up`, both the old and the new one may exist
    removed = [*(new for _, new in replicas.abandoned), *replicas.replaced, *surplus]
    numbers = _Numbers(service, [replica for replica in snapshot.replicas_of(service.name) if replica not in removed])
    missing = service.replicas - len(replicas.serving) - len(replicas.stopped) - len(replicas.continued)
    replaced, unneeded = bad[spare:][: max(missing, 0)], bad[spare:][max(missing, 0) :]
    steps: list[Step] = []
    for old in replaced:
        steps += _tried(service, snapshot, old, _replace(service, old, left, numbers, recipe))
    trials = [step for step in steps if isinstance(step, TryReplica)]
    yield from trials
    yield from _removals(surplus, recipe)
    yield from (step for step in steps if step not in trials)
    added = max(missing - len(replaced), 0)
    admitted, left = [replica.number for replica in left[:added]], left[added:]
    new_numbers = list(itertools.islice(numbers.free, added - len(admitted)))
    yield from create(service, "missing", new_numbers, left=admitted)
    yield from _removals([*unneeded, *left], recipe)
    for replica in replicas.serving[service.replicas :]:
        yield RemoveReplica(replica, f"scale to {service.replicas}")


class _Numbers:
    """The numbers of new replicas: that of the old one if no other replica has it, else a free one."""

    def __init__(self, service: Service, replicas: Sequence[Replica]) -> None:
        self._most = service.replicas
        self._taken = [replica.number for replica in replicas]
        self.free = free_numbers(replicas)

    def after(self, old: Replica) -> int:
        """Return the number of the replacement of a replica; numbers above the wanted ones are not used again."""
        can_stay = old.number <= self._most and self._taken.count(old.number) == 1
        return old.number if can_stay else next(self.free)


def _replace(service: Service, old: Replica, left: list[Replica], numbers: _Numbers, recipe: Recipe) -> Iterator[Step]:
    if _is_in_place(service, old):
        yield ReplaceReplica(service, numbers.after(old), old, _cause(recipe, old))
        return
    if candidates := _replacements(old, left) or [replica for replica in left if not replica.replaces]:
        left.remove(candidates[0])
        number = candidates[0].number
    else:
        number = numbers.after(old)
        yield CreateReplica(service, number, _cause(recipe, old), old=old if number == old.number else None)
    yield AdmitReplica(service, number)
    yield RemoveReplica(old, f"replaced by {'the new one' if number == old.number else f'{service.name}-{number}'}")


def _tried(service: Service, snapshot: Snapshot, old: Replica, steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps that replace a replica, after its trial; if it cannot be tried, they name the reason."""
    if not (snapshot.tries_replicas and old.serves and _is_in_place(service, old)):
        yield from steps
    elif why := _why_untried(service, old):
        yield from _with_reason(steps, why)
    else:
        number = next(free_numbers(snapshot.replicas_of(service.name)))
        yield TryReplica(service, number, f"before {old.name} is replaced")
        yield from steps


def _with_reason(steps: Iterable[Step], why: str) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, ReplaceReplica):
            yield replace(step, cause=f"{step.cause}; not tried first: it {why}")
        else:
            yield step


def _why_untried(service: Service, old: Replica) -> str:
    return service.why_exclusive or ("has an anonymous volume" if old.has_own_volumes else "")


def _is_in_place(service: Service, old: Replica) -> bool:
    return service.is_replaced_in_place or old.has_own_volumes


def _replacements(old: Replica, left: Iterable[Replica]) -> list[Replica]:
    return [replica for replica in left if replica.replaces == old.id]


def complete(service: Service, snapshot: Snapshot, recipe: Recipe) -> Iterator[Step]:
    """Yield the steps that run a service to completion, none if it has completed with this recipe."""
    replicas = snapshot.replicas_of(service.name)
    current = [replica for replica in replicas if not differences(recipe, replica.recipe)]
    if any(replica.has_completed for replica in current):
        return
    running = next((replica for replica in current if replica.is_running), None)
    # A replica of a completing service is never admitted, which is no reason to remove it.
    old = [replace(replica, is_admitted=True) for replica in replicas if replica is not running]
    yield from _removals(old, recipe)
    number = running.number if running else 1
    if not running:
        yield CreateReplica(service, number, _cause(recipe, old[-1]) if old else "missing")
    yield CompleteReplica(service, number)


def roll_by_engine(service: Service, snapshot: Snapshot, recipe: Recipe) -> Iterator[Step]:
    """Yield the step that rolls out a service on an engine that replaces the replicas itself."""
    replicas = snapshot.replicas_of(service.name)
    changed = sorted({name for replica in replicas for name in differences(recipe, replica.recipe)})
    serving = sum(replica.serves for replica in replicas)
    if not replicas:
        yield RollService(service, "missing")
    elif changed:
        yield RollService(service, f"{', '.join(changed)} changed")
    elif serving != service.replicas:
        yield RollService(service, f"{serving} of {service.replicas} replicas running")


def create(
    service: Service, cause: str, numbers: Sequence[int], like: Replica | None = None, left: Sequence[int] = ()
) -> Iterator[Step]:
    """Yield the steps that create replicas with these numbers, as the service is declared or `like` a replica.

    The replicas that an interrupted command `left` are admitted, too.
    """
    for number in left:
        yield AdmitReplica(service, number)
    for number in numbers:
        yield CreateReplica(service, number, cause, like)
        yield AdmitReplica(service, number)


def groups(steps: Iterable[Step]) -> Iterator[tuple[Step, ...]]:
    """Yield the steps in order, in groups that are executed at the same time.

    Consecutive additions to a service are a group, and so are consecutive starts and consecutive removals. In a deploy
    a removal follows each addition, so its steps stay one after the other.
    """
    for _, grouped in itertools.groupby(enumerate(steps), lambda numbered: _group(*numbered)):
        group = tuple(step for _, step in grouped)
        added = {step.number for step in group if isinstance(step, CreateReplica | AdmitReplica)}
        yield from ((step,) for step in group) if len(added) == 1 else (group,)


def _group(place: int, step: Step) -> tuple[str, str | int]:
    match step:
        case CreateReplica(service) | AdmitReplica(service):
            return "add", service.name
        case StartReplica(service):
            return "start", service.name
        case StopReplica(replica):
            return "stop", replica.service
        case RemoveReplica(replica):
            return "remove", replica.service
    return "alone", place


def remove(snapshot: Snapshot, replicas: Iterable[Replica], cause: str) -> Iterator[Step]:
    """Yield the steps that remove replicas, or their services if the engine manages their replicas itself."""
    if snapshot.rolls_services:
        yield from (RemoveService(name, cause) for name in dict.fromkeys(replica.service for replica in replicas))
    else:
        yield from (RemoveReplica(replica, cause) for replica in replicas)


def free_numbers(replicas: Iterable[Replica]) -> Iterator[int]:
    """Yield the numbers that no replica has, the lowest first."""
    taken = {replica.number for replica in replicas}
    return (number for number in itertools.count(1) if number not in taken)


def _can_continue(recipe: Recipe, new: Replica) -> bool:
    return not differences(recipe, new.recipe) and (new.is_running or new.is_startable)


def can_have(service: Service, recipe: Recipe, replica: Replica) -> bool:
    """Return whether a replica has the recipe, or will have it after a reload."""
    changed = differences(recipe, replica.recipe)
    files = {name for name in recipe.keys() & replica.recipe.keys() if name.startswith("config.")}
    return not changed or bool(
        service.reload and replica.is_reloadable and replica.serves and files.issuperset(changed)
    )


def _removals(replicas: Iterable[Replica], recipe: Recipe) -> Iterator[Step]:
    return (RemoveReplica(replica, _cause(recipe, replica)) for replica in replicas)


def _cause(recipe: Recipe, old: Replica) -> str:
    if not old.is_admitted:
        return "it was never admitted"
    if changed := differences(recipe, old.recipe):
        return f"{', '.join(changed)} changed"
    return old.state
