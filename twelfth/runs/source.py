"""Choose what a run is made from: a running replica, or a named release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.errors import IdentityError, MisuseError, NotUpError, NoWorkerError
from twelfth.model.snapshot import Replica, differences
from twelfth.runs.job_images import read_fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twelfth.engines.contract import Engine
    from twelfth.model.job import Job
    from twelfth.model.service import Service
    from twelfth.model.stack import Stack


def choose_source(engine: Engine, release: str = "", service: str = "") -> Replica:
    """Return the replica that a run is made from; if none is running, one of the built `release`.

    `service` is "" for the service that runs of this stack are made from. Raises `MisuseError` if several services are
    possible, `NoWorkerError` if no replica is running and `release` is "", and `IdentityError` if replicas of several
    releases are running and `release` is "", or if replicas of one release differ.
    """
    service = service or source_service(engine.stack).name
    replicas = sorted(engine.replicas(service), key=lambda replica: replica.number)
    running = [replica for replica in replicas if replica.serves and release in ("", replica.release)]
    if release and not running:
        return from_release(engine.stack, release, service)
    if not running:
        refuse_completing(engine.stack, service)
        raise NoWorkerError(f"cannot make a run: no {service} is running. Try: invoke up")
    if len({replica.release or replica.image for replica in running}) > 1:
        names = ", ".join(f"{replica.name} is {replica.version}" for replica in running)
        raise IdentityError(
            f"cannot make a run: several releases are running: {names}. Name one with --release, or try: invoke up"
        )
    _refuse_differences(running)
    return running[0]


def source_of_job(engine: Engine, job: Job, release: str = "") -> Replica:
    """Return what a run of a job is made from: a replica of its service, else the image that `up` has fixed.

    Raises the errors of `choose_source`, `MisuseError` for a separate image on an engine that has none or with a
    `release`, and `NotUpError` for an image that is not fixed yet.
    """
    if not job.has_separate_image:
        return choose_source(engine, release, job.service)
    if release:
        raise MisuseError(f"cannot run {job.name} from release {release}: it has a separate image. Omit --release")
    if not engine.has_images:
        why = f"its image is {job.changes.container.image}, and {engine.name} runs no images"
        raise MisuseError(f"cannot run {job.name}: {why}. Try: add x-twelfth: {{service: SERVICE}} to it")
    if fixed := read_fixed(engine.state).get(job.name):
        return Replica(job.name, 0, "", "not running", {}, image=fixed.id)
    raise NotUpError(f"cannot run {job.name}: its image is not fixed yet. Try: invoke up")


def refuse_completing(stack: Stack, service: str) -> None:
    """Raise `NoWorkerError` for a service that runs to completion: another `up` would not help."""
    if service in stack.completing:
        hint = f"--service {stack.candidates[0]}" if stack.candidates else "--release ID"
        raise NoWorkerError(f"cannot make a run: {service} runs to completion and is not running now. Try: {hint}")


def _refuse_differences(running: Sequence[Replica]) -> None:
    # An `up` that was not finished leaves such replicas.
    first, *others = running
    for replica in others:
        if names := ", ".join(differences(first.recipe, replica.recipe)):
            raise IdentityError(f"cannot make a run: {first.name} and {replica.name} differ in {names}. Try: invoke up")


def from_release(stack: Stack, release: str = "", service: str = "") -> Replica:
    """Return a replica of a built release, with the configuration that is declared now; none needs to be running.

    Raises `MisuseError` if a release is named of a service that has no releases.
    """
    declared = source_service(stack, service)
    if release and not (declared.build or declared.pin):
        raise MisuseError(f"cannot use release {release}: {declared.name} has no releases. Omit --release")
    return Replica(declared.name, 0, "", "not running", {}, release=release or declared.release, image=declared.image)


def source_service(stack: Stack, name: str = "") -> Service:
    """Return the named service, or the one that runs are made from; raises `MisuseError` if there is none."""
    declared_name = name or stack.run_service
    if not declared_name and not stack.candidates:
        declared = ", ".join(service.name for service in stack.services) or "none with an image"
        why = f"a run needs a service that stays up, and the Compose file has {declared}"
        raise MisuseError(f"cannot make a run: {why}. Add a service with an image")
    if not declared_name:
        names, option = ", ".join(stack.candidates), f"--service {stack.candidates[0]}"
        hint = f"Add {option}, or to the Compose file x-twelfth: {{runs-from: {stack.candidates[0]}}}"
        raise MisuseError(f"cannot make a run: it could be made from {names}. {hint}")
    if service := stack.service(declared_name):
        return service
    names = ", ".join(service.name for service in stack.services)
    raise MisuseError(f"there is no service {declared_name}: the Compose file has {names}. Try: invoke config")
