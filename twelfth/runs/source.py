"""Choose what a run is made from: a running replica, or a named release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.errors import IdentityError, MisuseError, NoWorkerError
from twelfth.model.snapshot import Replica, differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twelfth.engines.contract import Engine
    from twelfth.model.stack import Service, Stack


def choose_source(engine: Engine, release: str = "", service: str = "") -> Replica:
    """Return what a run is made from: a running worker, or where none runs the built release that is named.

    `service` is the one that is named, by default the one that runs of this stack are made from. Raises `MisuseError`
    where that could be any of several, `NoWorkerError` where no worker runs and no release is named, and
    `IdentityError` where workers of different releases run and none is named, or those of one are not made alike.
    """
    service = service or source_service(engine.stack).name
    replicas = sorted(engine.replicas(service), key=lambda replica: replica.number)
    running = [replica for replica in replicas if replica.serves and release in ("", replica.release)]
    if release and not running:
        return from_release(engine.stack, release, service)
    if not running:
        refuse_completing(engine.stack, service)
        raise NoWorkerError(f"no {service} is running to make the run from; try: invoke up")
    if len({replica.release or replica.image for replica in running}) > 1:
        names = ", ".join(f"{replica.name} is {replica.version}" for replica in running)
        raise IdentityError(
            f"the workers disagree about the release: {names}; choose: --release ID, or finish the deploy: invoke up"
        )
    _refuse_differences(running)
    return running[0]


def refuse_completing(stack: Stack, service: str) -> None:
    """Raise `NoWorkerError` for a service that runs to completion, which `up` would not keep running."""
    if service in stack.completing:
        hint = f"--service {stack.candidates[0]}" if stack.candidates else "--release ID"
        raise NoWorkerError(
            f"{service} runs to completion, and is not running now; make the run from another service: {hint}"
        )


def _refuse_differences(running: Sequence[Replica]) -> None:
    """Raise `IdentityError` where replicas of one release differ, as an `up` that was not finished leaves them."""
    first, *others = running
    for replica in others:
        if names := ", ".join(differences(first.recipe, replica.recipe)):
            raise IdentityError(f"{first.name} and {replica.name} differ in {names}. Try: invoke up")


def from_release(stack: Stack, release: str = "", service: str = "") -> Replica:
    """Return what a worker of a built release would be, where none needs to run: the stack's own configuration.

    A service that is not built has none: its worker would be of its image. Raises `MisuseError` where one is named.
    """
    declared = source_service(stack, service)
    if release and not declared.build:
        raise MisuseError(f"{declared.name} has no build, so it has no release {release}. Try it without --release")
    return Replica(declared.name, 0, "", "not running", {}, release=release or declared.release, image=declared.image)


def source_service(stack: Stack, name: str = "") -> Service:
    """Return the named service, or the one that runs are made from; raises `MisuseError` if there is none."""
    wanted = name or stack.run_service
    if not wanted and not stack.candidates:
        declared = ", ".join(service.name for service in stack.services) or "none with an image"
        why = f"a run needs a service that stays up, and the Compose file has {declared}"
        raise MisuseError(f"cannot make a run: {why}; add one that has an image")
    if not wanted:
        names, how = ", ".join(stack.candidates), "--service NAME, or x-twelfth: {runs-from: NAME} in the Compose file"
        raise MisuseError(f"runs can be made from {names}; say which: {how}")
    if found := stack.service(wanted):
        return found
    raise MisuseError(f"there is no service {wanted}; there are {', '.join(each.name for each in stack.services)}")
