"""Load the stack that a project's Compose files declare, of the release that is wanted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.build_context import read
from twelfth.build_context.release import combined, digest, is_release
from twelfth.compose import cli, services
from twelfth.errors import MisuseError
from twelfth.model.stack import with_builds, with_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from twelfth.model.stack import Service, Stack

    Warn = Callable[[str], None]


def load_stack(
    directory: Path, environment: Mapping[str, str], release: str = "", warn: Warn = lambda _: None
) -> Stack:
    """Return the stack that a directory declares, of a release that is named or of none in particular.

    Tells `warn` of each variable that is used and not set. Raises `MisuseError` where a file is missing or wrong.
    """
    if release and not is_release(release):
        raise MisuseError(f"--release {release}: a release is named by 12 hexadecimal digits; see: invoke releases")
    found = cli.read(directory, environment, warn)
    stack = services.stack(found.model, found.files)
    return with_release(with_builds(stack, lambda build: replace(build, is_named=True)), release) if release else stack


def load_names(directory: Path, environment: Mapping[str, str]) -> Stack:
    """Return what a directory's Compose files name, whatever else is in them: enough for runs from what serves."""
    found = cli.read(directory, environment)
    return services.names(found.model, found.files)


def of_current_release(stack: Stack, has_buildkit: Callable[[], bool] = lambda: False) -> Stack:
    """Return the stack with the release that its files make; they are read once, as the image's builder reads them."""
    builds = [service.build for service in stack.services if service.build]
    if not builds:
        return stack
    contents = {key: read(build, has_buildkit) for key, build in {build.read: build for build in builds}.items()}
    release = combined(digest(contents[build.read], build) for build in builds)
    return with_release(with_builds(stack, lambda build: replace(build, contents=contents[build.read])), release)


def scaled(stack: Stack, wishes: Iterable[str]) -> Stack:
    """Return the stack with each `SERVICE=N` of the operator's wishes; raises `MisuseError` for one that cannot be."""
    for wish in wishes:
        stack = stack.with_service(wanted(stack, wish))
    return stack


def wanted(stack: Stack, wish: str) -> Service:
    """Return the service that `SERVICE=N` names, with so many replicas.

    Raises `MisuseError` where there is no such service, where replicas would fight over one port or one volume, or
    for what is no number or below one.
    """
    name, _, number = wish.partition("=")
    if not re.fullmatch("[0-9]{1,9}", number):  # Python reads no more than 4,300 digits
        raise MisuseError(f"{wish[:50]}: say SERVICE=N, such as worker=2")
    service, replicas = stack.service(name), int(number)
    if service is None:
        names = ", ".join(each.name for each in stack.services)
        raise MisuseError(f"{wish}: there is no service {name!r}; there are {names}")
    if replicas < 1:
        raise MisuseError(f"{wish}: at least 1; to stop the stack: invoke down")
    if replicas > (most := dict(stack.max_replicas).get(name, replicas)):
        raise MisuseError(f"{wish}: at most {most}, says x-twelfth.max-replicas; try {name}={most}")
    if replicas > 1 and (why := service.why_single):
        raise MisuseError(f"{wish}: {name} {why}, so there can be only one; try {name}=1")
    return replace(service, replicas=replicas)
