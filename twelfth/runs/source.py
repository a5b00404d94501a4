"""Choose what a run is made from: a running replica, or a built release that is named."""

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

    `service` is the one that runs are made from, by default the one that the stack builds. Raises `NoWorkerError` where
    no worker runs and no release is named, and `IdentityError` where workers of different releases run and none is
    named, or those of one release are not made alike.
    """
    service = service or built_service(engine.stack).name
    found = sorted(engine.replicas(service), key=lambda each: each.number)
    running = [each for each in found if each.serves and release in ("", each.release)]
    if release and not running:
        return from_release(engine.stack, release)
    if not running:
        raise NoWorkerError(f"no {service} is running to make the run from; try: invoke up")
    if len({each.release or each.image for each in running}) > 1:
        names = ", ".join(f"{each.name} is {each.release or each.image}" for each in running)
        raise IdentityError(f"the workers disagree about the release: {names}; choose: --release ID")
    _refuse_differences(running)
    return running[0]


def _refuse_differences(running: Sequence[Replica]) -> None:
    """Raise `IdentityError` where replicas of one release differ, as an `up` that was not finished leaves them."""
    first, *others = running
    for other in others:
        if unlike := differences(first.recipe, other.recipe):
            names = ", ".join(unlike)
            raise IdentityError(f"{first.name} and {other.name} differ in {names}; finish it: invoke up")


def from_release(stack: Stack, release: str = "") -> Replica:
    """Return what a worker of a built release would be, where none needs to run: the stack's own configuration."""
    service = built_service(stack)
    release = release or service.image.rpartition(":")[2]
    return Replica(service.name, 0, "", "not running", {}, release=release, image=service.image)


def built_service(stack: Stack) -> Service:
    """Return the service that the stack builds: its release is what runs are made from."""
    service = next((each for each in stack.services if each.build), None)
    if service is None:
        raise MisuseError("no service is built, so there is no release to run from; give one a build")
    return service
