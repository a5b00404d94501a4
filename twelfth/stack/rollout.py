"""Decide how one service gets from the replicas that it has to those that it should have; change nothing.

A new replica is created next to the old ones and admitted when it is ready; only then an old one is drained and
removed, and the next one follows. So the old replicas serve until the new ones can (docs/deploys.md). A service that
can have only one replica, because it publishes a port or keeps data, is replaced in place. If that was interrupted,
both replicas exist: the next `up` continues if the new one is still wanted, and else removes it. A replica stays if
only configuration files have changed and its service declares how to reload them.
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
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twelfth.model.snapshot import Recipe, Replica, Snapshot
    from twelfth.model.stack import Service
    from twelfth.stack.steps import Step

    Pair = tuple[Replica, Replica]


@dataclass(frozen=True)
class _Sorted:
    """The replicas of a service by what happens to them; a pair is an old replica and the one that replaces it.

    `left` were created by an interrupted `up` and not admitted; `bad` have another recipe or are not running.
    """

    serving: list[Replica]
    left: list[Replica]
    bad: list[Replica]
    continued: list[Pair]
    abandoned: list[Pair]


def _sort(service: Service, replicas: tuple[Replica, ...], recipe: Recipe) -> _Sorted:
    by_id = {replica.id: replica for replica in replicas}
    pairs = [(by_id[new.replaces], new) for new in replicas if new.replaces in by_id]
    wanted = [(old, new) for old, new in pairs if _can_continue(recipe, new)]
    paired = [*(new for _, new in pairs), *(old for old, _ in wanted)]
    others = [replica for replica in replicas if replica not in paired]
    good = [replica for replica in others if replica.is_running and can_have(service, recipe, replica)]
    serving = [replica for replica in good if replica.is_admitted]
    missing = max(service.replicas - len(serving), 0)
    return _Sorted(
        serving,
        [replica for replica in good if not replica.is_admitted],
        [*(replica for replica in others if replica not in good), *(old for old, _ in wanted[missing:])],
        wanted[:missing],
        [pair for pair in pairs if pair not in wanted[:missing]],
    )


def roll(service: Service, found: Snapshot, recipe: Recipe) -> Iterator[Step]:
    """Yield the steps that give a service its replicas, all made from `recipe`; none where it has them."""
    now = _sort(service, found.replicas_of(service.name), recipe)
    for old, new in now.abandoned:
        yield RemoveReplica(new, f"its replacement of {old.name} was interrupted")
    for replica in now.serving[: service.replicas]:
        if differences(recipe, replica.recipe):
            yield ReloadReplica(service, replica, _cause(recipe, replica))
    for old, new in now.continued:
        yield ReplaceReplica(service, new.number, old, "its replacement was interrupted")
    bad = sorted(now.bad, key=lambda each: each.serves)  # first those that do not serve
    spare = max(len(bad) - service.replicas, 0) if service.is_replaced_in_place else 0
    yield from _removals(bad[:spare], recipe)  # a killed `up` may have left one and the one that it stopped
    missing = service.replicas - len(now.serving) - len(now.continued)
    replaced, surplus = bad[spare:][: max(missing, 0)], bad[spare:][max(missing, 0) :]
    left, free = list(now.left), free_numbers(found.replicas_of(service.name))
    for old in replaced:
        yield from _replace(service, old, left, free, recipe)
    added = max(missing - len(replaced), 0)
    admitted, left = [each.number for each in left[:added]], left[added:]
    yield from create(service, "not there", list(itertools.islice(free, added - len(admitted))), left=admitted)
    yield from _removals([*surplus, *left], recipe)
    for replica in now.serving[service.replicas :]:
        yield RemoveReplica(replica, f"{service.name} is scaled to {service.replicas}")


def _replace(
    service: Service, old: Replica, left: list[Replica], free: Iterator[int], recipe: Recipe
) -> Iterator[Step]:
    """Yield the steps that replace an old replica, by one of those `left` if there is one."""
    if service.is_replaced_in_place or old.has_own_volumes:
        yield ReplaceReplica(service, next(free), old, _cause(recipe, old))
        return
    is_left = bool(left)
    number = left.pop(0).number if left else next(free)
    if not is_left:
        yield CreateReplica(service, number, _cause(recipe, old))
    yield AdmitReplica(service, number)
    yield RemoveReplica(old, f"{service.name}-{number} is in its place")


def complete(service: Service, found: Snapshot, recipe: Recipe) -> Iterator[Step]:
    """Yield the steps that run a service to its end; none where that was done with just this recipe."""
    replicas = found.replicas_of(service.name)
    current = [each for each in replicas if not differences(recipe, each.recipe)]
    if any(each.has_completed for each in current):
        return
    going = next((each for each in current if each.is_running), None)
    old = [replace(each, is_admitted=True) for each in replicas if each is not going]  # which a job never is
    yield from _removals(old, recipe)
    number = going.number if going else 1
    if not going:
        yield CreateReplica(service, number, _cause(recipe, old[-1]) if old else "not there")
    yield CompleteReplica(service, number)


def roll_by_engine(service: Service, found: Snapshot, recipe: Recipe) -> Iterator[Step]:
    """Yield the step by which an engine rolls a service by itself; none where it has its replicas."""
    replicas = found.replicas_of(service.name)
    changed = sorted({name for each in replicas for name in differences(recipe, each.recipe)})
    serving = sum(each.serves for each in replicas)
    if not replicas:
        yield RollService(service, "not there")
    elif changed:
        yield RollService(service, f"{', '.join(changed)} changed")
    elif serving != service.replicas:
        yield RollService(service, f"{serving} of {service.replicas} replicas serve")


def create(
    service: Service, cause: str, numbers: Sequence[int], like: Replica | None = None, left: Sequence[int] = ()
) -> Iterator[Step]:
    """Yield the steps that create replicas with these numbers, as the service is declared or `like` another replica.

    The replicas that an interrupted command `left` are admitted, too.
    """
    for number in left:
        yield AdmitReplica(service, number)
    for number in numbers:
        yield CreateReplica(service, number, cause, like)
        yield AdmitReplica(service, number)


def groups(steps: Iterable[Step]) -> Iterator[tuple[Step, ...]]:
    """Yield the steps in order, grouped with those that are executed at the same time.

    Consecutive additions to a service are a group, and so are consecutive removals. In a deploy a removal follows each
    addition, so its steps stay one after the other.
    """
    for _, grouped in itertools.groupby(enumerate(steps), lambda each: _group(*each)):
        group = tuple(step for _, step in grouped)
        added = {step.number for step in group if isinstance(step, CreateReplica | AdmitReplica)}
        yield from ((step,) for step in group) if len(added) == 1 else (group,)


def _group(place: int, step: Step) -> tuple[str, str | int]:
    match step:
        case CreateReplica(service) | AdmitReplica(service):
            return "add", service.name
        case RemoveReplica(replica):
            return "remove", replica.service
    return "alone", place


def remove(found: Snapshot, replicas: Iterable[Replica], cause: str) -> Iterator[Step]:
    """Yield the steps that remove replicas, or their services if the engine rolls those by itself."""
    if found.rolls_services:
        yield from (RemoveService(name, cause) for name in dict.fromkeys(each.service for each in replicas))
    else:
        yield from (RemoveReplica(each, cause) for each in replicas)


def free_numbers(replicas: tuple[Replica, ...]) -> Iterator[int]:
    """Yield the numbers that none of the replicas has, the lowest first."""
    taken = {replica.number for replica in replicas}
    return (number for number in itertools.count(1) if number not in taken)


def _can_continue(recipe: Recipe, new: Replica) -> bool:
    return not differences(recipe, new.recipe) and (new.is_running or new.is_startable)


def can_have(service: Service, recipe: Recipe, replica: Replica) -> bool:
    """Return whether a replica has the recipe, or can have it by being reloaded."""
    changed = differences(recipe, replica.recipe)
    files = {name for name in recipe.keys() & replica.recipe.keys() if name.startswith("config.")}
    return not changed or bool(
        service.reload and replica.is_reloadable and replica.serves and files.issuperset(changed)
    )


def _removals(replicas: Iterable[Replica], recipe: Recipe) -> Iterator[Step]:
    return (RemoveReplica(each, _cause(recipe, each)) for each in replicas)


def _cause(recipe: Recipe, old: Replica) -> str:
    """Return why a replica has to go."""
    if not old.is_admitted:
        return "it was never admitted"
    if changed := differences(recipe, old.recipe):
        return f"{', '.join(changed)} changed"
    return f"it is {old.state}"
