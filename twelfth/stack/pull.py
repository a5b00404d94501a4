"""Pull the images of a stack for its next `up`; containers stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, MisuseError
from twelfth.hints import as_typed
from twelfth.stack import pins

if TYPE_CHECKING:
    from collections.abc import Collection

    from twelfth.engines.contract import Engine
    from twelfth.model.pin import Pin
    from twelfth.model.service import Service
    from twelfth.stack.report import Report

SHOWN = 12
"""Digits of a digest that are shown."""


def plan_pull(engine: Engine, names: Collection[str] = ()) -> tuple[Service, ...]:
    """Return a service for each image that is pulled, by default of all services that are not built.

    Raises `MisuseError` for a service that does not exist or is built, and for an engine without images.
    """
    services = engine.stack.services
    if not engine.has_images:
        raise MisuseError(f"cannot pull: engine {engine.name} runs no images. Try: invoke up")
    for name in names:
        service = engine.stack.service(name)
        if service is None:
            known = ", ".join(service.name for service in services)
            raise MisuseError(f"cannot pull {name}: there is no such service; there are {known}. Try: invoke config")
        if service.build:
            raise MisuseError(f"cannot pull {name}: it is built. Try: invoke up")
    chosen = [service for service in services if not service.build and (not names or service.name in names)]
    return tuple({service.image: service for service in reversed(chosen)}.values())[::-1]


@dataclass(frozen=True)
class Pulled:
    """What a pull has done: a line for each image that was pulled, and the error of each other one."""

    lines: tuple[str, ...]
    errors: tuple[str, ...]


def pull(engine: Engine, services: Collection[Service], report: Report) -> Pulled:
    """Pull images and pin those that have releases; one that cannot be pulled does not keep the others from it.

    An image with `pull_policy: never` is not pulled: what the engine has under its name is pinned.
    """
    lines, errors = list[str](), list[str]()
    with engine.state.lock("pulling images"):
        for service in services:
            try:
                lines.append(_pull(engine, service, report))
            except EngineError as error:
                errors.append(str(error))
    if any(" is now " in line for line in lines):
        lines.append(as_typed("Try: invoke up"))
    return Pulled(tuple(lines), tuple(errors))


def _pull(engine: Engine, service: Service, report: Report) -> str:
    reference, is_pulled = service.image, service.pull_policy != "never"
    is_released = service.image in {released.image for released in engine.stack.released}
    kept = pins.pinned(pins.read_pulled(engine.state), reference) if is_released else None
    before = kept or engine.resolve(reference)
    if is_pulled:
        report.step(f"Pull {reference}")
        engine.pull_image(service, report.detail)
    after = engine.resolve(reference)
    if is_released and after:
        pins.record(engine, after, is_pulled=is_pulled)
    return changed(service.name, reference, before, after)


def changed(service: str, reference: str, before: Pin | None, after: Pin | None) -> str:
    """Return what a pull has changed."""
    if after is None:
        return f"{service}: {reference} is missing"
    if before and before.image == after.image:
        return f"{service}: {reference} is unchanged, {after.release}"
    return f"{service}: {reference} is now {after.release}" + (f", was {before.release}" if before else "")
