"""Load the stack that a project's Compose files declare, with a release."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.build_context import read
from twelfth.build_context.release import combined, digest, is_release
from twelfth.compose import cli, jobs, services
from twelfth.errors import MisuseError
from twelfth.model.job import OF_JOB
from twelfth.model.stack import with_builds, with_release
from twelfth.runs.jobs import why_cyclic
from twelfth.schedule import fires
from twelfth.stack.mounted_source import with_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from twelfth.model.contents import Contents
    from twelfth.model.job import Job
    from twelfth.model.service import Pairs, Service
    from twelfth.model.stack import Stack

    FilesRead = tuple[Path, str, str, Pairs]
    Warn = Callable[[str], None]


EXTENSIONS = ("x-jobs", "x-swarm", "x-twelfth")
"""The keys of twelfth at the top level of a Compose file."""

SIMILAR = 0.8
"""The similarity from which a key counts as a typing error; see `difflib`."""


def load_stack(
    directory: Path, environment: Mapping[str, str], release: str = "", warn: Warn = lambda _: None
) -> Stack:
    """Return the stack that a directory declares, with the named release, if any.

    Calls `warn` with each variable that is used and not set. Raises `MisuseError` if a file is missing or invalid.
    """
    if release and not is_release(release):
        raise MisuseError(f"--release {release} is not a release: write 12 hexadecimal digits. Try: invoke releases")
    configuration = cli.read(directory, environment, warn)
    stack = with_source(_with_jobs(services.stack(configuration.model, configuration.files), configuration))
    _refuse_invalid(stack)
    for key in configuration.model:
        if similar := similar_extension(key):
            warn(f"{stack.files[0].name}: {key} has no effect. Did you mean {similar}?")
    return with_release(with_builds(stack, lambda build: replace(build, is_named=True)), release) if release else stack


def load_names(directory: Path, environment: Mapping[str, str]) -> Stack:
    """Return a stack with the names in a directory's Compose files, which are enough for a run."""
    configuration = cli.read(directory, environment)
    return _with_jobs(services.names(configuration.model, configuration.files), configuration)


def similar_extension(key: str) -> str:
    """Return the key of twelfth that an unknown `x-` key of the top level is probably a typing error of, or ""."""
    is_unknown = key.startswith("x-") and key not in EXTENSIONS
    return next(iter(difflib.get_close_matches(key, EXTENSIONS, 1, SIMILAR)), "") if is_unknown else ""


def _with_jobs(stack: Stack, configuration: cli.Config) -> Stack:
    return replace(stack, jobs=jobs.jobs(configuration.model))


def _refuse_invalid(stack: Stack) -> None:
    refusals = [refusal for job in stack.jobs for refusal in job.refusals]
    if refusals := refusals or fires.refusals(stack.jobs, datetime.now(UTC)):
        raise MisuseError("\n".join(f"{stack.files[0].name}: {refusal}" for refusal in refusals))
    for job in stack.jobs:
        if why := why_cyclic(stack, job):
            raise MisuseError(f"{stack.files[0].name}: {why}")


def of_current_release(stack: Stack, has_buildkit: Callable[[], bool] = lambda: False) -> Stack:
    """Return the stack with the release that its current files make. Each build context is read once."""
    builds = [service.build for service in stack.services if service.build]
    of_jobs = [build for job in stack.jobs if job.has_separate_image and (build := job.changes.container.build)]
    builds_by_files = {build.read: build for build in (*builds, *of_jobs)}
    contents = {key: read(build, has_buildkit) for key, build in builds_by_files.items()}
    release = combined(digest(contents[build.read], build) for build in builds) if builds else ""
    stack = replace(stack, jobs=tuple(_with_digest(job, contents, release) for job in stack.jobs))
    if not builds:
        return stack
    return with_release(with_builds(stack, lambda build: replace(build, contents=contents[build.read])), release)


def _with_digest(job: Job, contents: Mapping[FilesRead, Contents], release: str) -> Job:
    """Return a job whose separate image is built with the digest of its build context in the image's tag."""
    container = job.changes.container
    if not (job.has_separate_image and container.build):
        return job
    build = replace(container.build, contents=contents[container.build.read])
    digests = (digest(contents[build.read], build), *([release] if build.services else []))
    image = f"{container.image}:{OF_JOB}{combined(digests)}"
    return replace(job, changes=replace(job.changes, container=replace(container, image=image, build=build)))


def scaled(stack: Stack, scales: Iterable[str]) -> Stack:
    """Return the stack with the number of replicas of each `SERVICE=N`; raises `MisuseError` for an invalid one."""
    for scale in scales:
        stack = stack.with_service(scaled_service(stack, scale))
    return stack


def scaled_service(stack: Stack, scale: str) -> Service:
    """Return the service of `SERVICE=N` with N replicas.

    Raises `MisuseError` for a service that does not exist or can have only one replica, and for an invalid number.
    """
    name, _, number = scale.partition("=")
    if not re.fullmatch("[0-9]{1,9}", number):  # Python reads no more than 4,300 digits
        raise MisuseError(f"{scale[:50]}: write SERVICE=N, such as worker=2")
    service, replicas = stack.service(name), int(number)
    if service is None:
        names = ", ".join(service.name for service in stack.services)
        raise MisuseError(f"{scale}: there is no service {name!r}; there are {names}")
    if replicas < 1:
        raise MisuseError(f"{scale}: at least 1 replica is required. To remove the stack: invoke down")
    if replicas > (most := dict(stack.max_replicas).get(name, replicas)):
        raise MisuseError(f"{scale}: x-twelfth.max-replicas is {most}. Try: invoke scale {name}={most}")
    if replicas > 1 and (why := service.why_single):
        raise MisuseError(f"{scale}: {name} {why}, so there can be only one replica. Try: invoke scale {name}=1")
    return replace(service, replicas=replicas)


def refuse_unknown_services(stack: Stack, names: Iterable[str]) -> None:
    """Raise `MisuseError` for a name that is no service's."""
    known = [service.name for service in stack.services]
    if unknown := ", ".join(name for name in names if name not in known):
        raise MisuseError(f"there is no service {unknown}; there are {', '.join(known)}. Try: invoke config --services")
