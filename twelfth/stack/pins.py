"""The images that references are pinned to: the releases of a stack whose images are pulled.

They are stored with the stack, one file for each release and reference, so that another machine and a fresh clone have
the same. `up` keeps the image of a reference until `pull`, even if the tag is moved.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError, NoReleaseError
from twelfth.model.pin import Pin
from twelfth.model.snapshot import BuiltRelease
from twelfth.model.stack import with_pin
from twelfth.operator_name import operator
from twelfth.runs.job_images import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine
    from twelfth.engines.state import State
    from twelfth.model.stack import Stack

PREFIX = "pulled-"
ALWAYS = "always"
"""The pull policy with which each `up` pulls."""

MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class PulledImage:
    """An image that a reference was pinned to: when (ISO 8601 in UTC), and by whom.

    `is_pulled` is False if the engine had the image before: then twelfth does not remove it.
    """

    pin: Pin
    at: str
    operator: str
    is_pulled: bool = False


def read_pulled(state: State) -> tuple[PulledImage, ...]:
    """Return the images that references were pinned to, the latest last; damaged files count as missing."""
    files = state.read(DIRECTORY)
    images = [_parsed(content) for name, content in files.items() if name.startswith(PREFIX)]
    return tuple(sorted((image for image in images if image), key=lambda image: image.at))


def pinned(images: Iterable[PulledImage], reference: str) -> Pin | None:
    """Return the pin of a reference."""
    return next((image.pin for image in reversed([*images]) if image.pin.reference == reference), None)


def releases(images: Iterable[PulledImage]) -> tuple[BuiltRelease, ...]:
    """Return the releases, the latest pin first."""
    listed: dict[str, BuiltRelease] = {}
    for image in reversed([*images]):
        pin = image.pin
        first = listed.setdefault(pin.release, BuiltRelease(pin.release, image.at, image.operator, pin.size))
        listed[pin.release] = replace(first, references=(*first.references, pin.reference))
    return tuple(listed.values())


def _parsed(content: bytes) -> PulledImage | None:
    try:
        values = json.loads(content)
        image = PulledImage(**values | {"pin": Pin(**values["pin"])})
        datetime.fromisoformat(image.at)
    except (ValueError, TypeError, KeyError):
        return None
    return image


def _path(pin: Pin) -> str:
    return f"{DIRECTORY}/{PREFIX}{pin.release}-{hashlib.sha256(pin.reference.encode()).hexdigest()[:12]}.json"


def stack_releases(engine: Engine) -> tuple[BuiltRelease, ...]:
    """Return the releases of a stack, the newest first: those that are built, or else those that were pulled."""
    return engine.releases() if engine.stack.is_built else releases(read_pulled(engine.state))


def with_pins(engine: Engine, release: str = "") -> Engine:
    """Return the engine for the stack with its pinned image, or that of a named release.

    The stack stays as it is if it has no pulled releases, or if the image has to be pulled first. Raises
    `NoReleaseError` for a release that is not recorded, `MisuseError` for one of a stack without releases.
    """
    stack = engine.stack
    if stack.is_built or not engine.has_images:
        return engine
    if release:
        named = _pin_of(stack, read_pulled(engine.state), release)
        if _is_gone(engine, named):
            why = "its image was removed, and no registry has it"
            raise NoReleaseError(f"cannot use release {release}: {why}. Try: invoke releases")
        return _engine_of(engine, named)
    if not stack.released or any(service.pin for service in stack.released):
        return engine
    reference = stack.released[0].image
    if any(service.pull_policy == ALWAYS for service in stack.released):
        return engine
    pin = kept(engine, reference) or engine.resolve(reference)
    return _engine_of(engine, pin) if pin else engine


def kept(engine: Engine, reference: str) -> Pin | None:
    """Return the stored pin of a reference, None if there is none or its image is gone for good."""
    pin = pinned(read_pulled(engine.state), reference)
    return pin if pin and not _is_gone(engine, pin) else None


def _is_gone(engine: Engine, pin: Pin) -> bool:
    """Return whether an image that was only loaded was removed: it cannot be pulled again."""
    return not (pin.digest or engine.image_id(pin.image))


def _pin_of(stack: Stack, images: Iterable[PulledImage], release: str) -> Pin:
    if not stack.released:
        names = ", ".join(stack.candidates)
        hint = f"Add to the Compose file x-twelfth: {{runs-from: {next(iter(stack.candidates), 'SERVICE')}}}"
        raise MisuseError(f"cannot use release {release}: runs can be made from any of {names}. {hint}")
    if pin := next((image.pin for image in reversed([*images]) if image.pin.release == release), None):
        return pin
    raise NoReleaseError(f"cannot use release {release}: this stack has no such release. Try: invoke releases")


def _engine_of(engine: Engine, pin: Pin) -> Engine:
    # The name with the digest can be pulled again. An image that has lost this name still has its id.
    has_digest = pin.digest and (engine.image_id(pin.digest) or not engine.image_id(pin.image))
    return engine.with_stack(with_pin(engine.stack, pin, pin.digest if has_digest else pin.image))


def pin_pulled(engine: Engine) -> Engine:
    """Return the engine for the stack with the image that was just pulled for its reference, if it has releases."""
    stack = engine.stack
    if stack.is_built or not stack.released or stack.released[0].pin:
        return engine
    pin = engine.resolve(stack.released[0].image)
    return _engine_of(engine, pin) if pin else engine


def is_recorded(engine: Engine) -> bool:
    """Return whether the pinned image of a stack is stored with it; True for a stack without one."""
    pin = _pin(engine.stack)
    return not pin or pin in {image.pin for image in read_pulled(engine.state)}


def record(engine: Engine, pin: Pin, *, is_pulled: bool) -> None:
    """Store the pin of a reference, and protect its image from removal; raises `EngineError`."""
    images = read_pulled(engine.state)
    was_pulled = any(image.is_pulled for image in images if image.pin == pin)
    # The latest counts, so it must be the last one, also if the clock of another machine is ahead.
    times = [datetime.now(UTC), *(datetime.fromisoformat(image.at) + MOMENT for image in images)]
    image = PulledImage(pin, max(times).isoformat(), operator(), is_pulled or was_pulled)
    engine.state.write({_path(pin): json.dumps(asdict(image)).encode()})
    engine.keep_pulled(pin.release, pin.image)


def record_stack(engine: Engine, pulled: Iterable[str]) -> None:
    """Store the pin of a stack unless it is stored; `pulled` are the references that this command has pulled."""
    pin = _pin(engine.stack)
    if pin and not is_recorded(engine):
        record(engine, pin, is_pulled=pin.reference in pulled)
    elif pin:
        engine.keep_pulled(pin.release, pin.image)


def _pin(stack: Stack) -> Pin | None:
    return next((service.pin for service in stack.services if service.pin), None)


def remove(engine: Engine, release: BuiltRelease) -> bool:
    """Remove a pulled release and forget it; return False if a container uses it.

    Only names that twelfth has pulled are removed.
    """
    images = [image for image in read_pulled(engine.state) if image.pin.release == release.id]
    if not engine.remove_pulled(release.id, [image.pin.reference for image in images if image.is_pulled]):
        return False
    engine.state.write({_path(image.pin): b"" for image in images})
    return True


def forget(engine: Engine) -> None:
    """Forget all pulled releases of a stack that was removed; their images stay, without protection."""
    images = read_pulled(engine.state)
    for release in releases(images):
        engine.remove_pulled(release.id, ())
    if images:
        engine.state.write({_path(image.pin): b"" for image in images})
