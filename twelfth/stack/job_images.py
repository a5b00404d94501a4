"""Fix the images of jobs with a separate image: the steps of `up`, and their execution.

An image is fixed again if its name or build context changes, or if it is built again; not if a tag that is pulled
leads to another image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.runs import job_images
from twelfth.runs.job_images import FixedImage, read_fixed
from twelfth.stack.steps import EnsureImage, FixImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from twelfth.engines.contract import Engine
    from twelfth.model.job import Job
    from twelfth.model.service import Service
    from twelfth.model.stack import Stack
    from twelfth.stack.steps import Step


def plan_images(engine: Engine) -> tuple[Step, ...]:
    """Return the steps that build or pull the images of jobs, and fix them."""
    jobs = _jobs(engine.stack) if engine.has_images else ()
    if not jobs:
        return ()
    fixed = read_fixed(engine.state)
    names = {job.changes.container.image for job in jobs} | {image.id for image in fixed.values()}
    return tuple(steps(jobs, fixed, {name: engine.image_id(name) for name in names}))


def steps(jobs: Iterable[Job], fixed: Mapping[str, FixedImage], ids: Mapping[str, str]) -> Iterator[Step]:
    """Yield the steps; `ids` has the ids of images by their names and ids, "" for a missing one."""
    for job in jobs:
        container, image = job.changes.container, fixed.get(job.name)
        current = ids.get(container.image, "")
        if cause := _cause(container, image, current, ids):
            if not current:
                yield EnsureImage(container, f"the job {job.name} needs it")
            yield FixImage(job.name, container.image, current, cause)


def _cause(container: Service, fixed: FixedImage | None, current: str, ids: Mapping[str, str]) -> str:
    if fixed is None:
        return "it is not fixed yet"
    if fixed.reference != container.image:
        return "its build context changed" if container.build else f"before it was {fixed.reference}"
    if container.build and current not in ("", fixed.id):
        return "it was built again"
    return "" if ids.get(fixed.id) else "the fixed one was removed"


def fix_image(engine: Engine, step: FixImage) -> None:
    """Store the image of a job, and protect it from removal; raises `EngineError`."""
    job_images.fix(engine.state, {step.job: FixedImage(step.reference, step.image)})
    declared = {job.name for job in engine.stack.jobs}
    fixed = read_fixed(engine.state).items()
    engine.keep_job_images({job: image.id for job, image in fixed if job in declared})


def _jobs(stack: Stack) -> tuple[Job, ...]:
    """Return the jobs whose images can be fixed: a named release has no build context."""
    jobs = (job for job in stack.jobs if job.has_separate_image)
    builds = ((job, job.changes.container.build) for job in jobs)
    return tuple(job for job, build in builds if build is None or build.contents)
