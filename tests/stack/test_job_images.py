"""Images of jobs with a separate image: `up` fixes them, and each run uses exactly the fixed one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import NotUpError
from twelfth.model.contents import Contents
from twelfth.model.job import Changes, Job
from twelfth.model.service import Build, Service
from twelfth.model.stack import Stack
from twelfth.runs.job_images import FixedImage, read_fixed
from twelfth.runs.request import new_request, with_job
from twelfth.runs.source import source_of_job
from twelfth.stack import deploy, lifecycle, load
from twelfth.stack.job_images import plan_images, steps

if TYPE_CHECKING:
    from twelfth.model.contents import Bytes

DUMP = Job("dump", Changes(Service("dump", "postgres:16", environment=(("A", "1"),)), frozenset({"image"})))
CONTENTS = Contents(cast("Bytes", None), "1", b"", is_dockerfile_admitted=False)
BUILD = Build(Path(), contents=CONTENTS)
BUILT = Job("report", Changes(Service("report", "p-report:job-1", build=BUILD), frozenset({"build"})))
IDS = {"postgres:16": "sha256:a", "p-report:job-1": "sha256:b", "sha256:a": "sha256:a", "sha256:b": "sha256:b"}
"""The ids of the images of both jobs, by their names and ids."""


@dataclass
class Project:
    """A stack in memory with jobs."""

    stack: Stack = field(default_factory=lambda: Stack("p", Path(), (Service("app", "app:1"),), jobs=(DUMP,)))
    world: World = field(default_factory=World)

    def engine(self) -> Memory:
        """Return a new engine."""
        return Memory(self.stack, self.world)

    def up(self) -> list[str]:
        """Deploy, and return the steps that were reported."""
        report = Recorded()
        deploy.up(self.engine(), report)
        return report.steps

    def edit(self, job: Job, **changes: object) -> None:
        """Change what a job declares."""
        container = replace(job.changes.container, **changes)  # type: ignore[arg-type]
        self.stack = replace(self.stack, jobs=(replace(job, changes=replace(job.changes, container=container)),))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project that is not up."""
    made = Project()
    made.stack = replace(made.stack, directory=tmp_path)
    return made


@pytest.mark.parametrize(
    ("job", "fixed", "ids", "expected"),
    [
        (DUMP, None, IDS, ["Fix image postgres:16 of job dump (it is not fixed yet)"]),
        (
            DUMP,
            None,
            {},
            [
                "Pull postgres:16 (the job dump needs it)",
                "Fix image postgres:16 of job dump (it is not fixed yet)",
            ],
        ),
        (DUMP, FixedImage("postgres:16", "sha256:a"), IDS, []),
        (DUMP, FixedImage("postgres:16", "sha256:b"), IDS, []),
        (
            DUMP,
            FixedImage("postgres:15", "sha256:b"),
            IDS,
            ["Fix image postgres:16 of job dump (before it was postgres:15)"],
        ),
        (
            DUMP,
            FixedImage("postgres:16", "sha256:c"),
            IDS,
            ["Fix image postgres:16 of job dump (the fixed one was removed)"],
        ),
        (BUILT, FixedImage("p-report:job-1", "sha256:b"), IDS, []),
        (
            BUILT,
            FixedImage("p-report:job-1", "sha256:a"),
            IDS,
            ["Fix image p-report:job-1 of job report (it was built again)"],
        ),
        (
            BUILT,
            FixedImage("p-report:job-0", "sha256:a"),
            {"sha256:a": "sha256:a"},
            [
                "Build p-report:job-1 (the job report needs it)",
                "Fix image p-report:job-1 of job report (its build context changed)",
            ],
        ),
    ],
)
def test_steps(job: Job, fixed: FixedImage | None, ids: dict[str, str], expected: list[str]) -> None:
    """Another image behind a tag that is pulled is no cause; behind a tag that is built, it is."""
    records = {job.name: fixed} if fixed else {}

    assert expected == list(map(str, steps([job], records, ids)))


def test_up_fixes_the_image_once(project: Project) -> None:
    """After it has pulled the image; the last step is the one that stores it."""
    assert [
        *("Pull app:1 (missing)", "Pull postgres:16 (the job dump needs it)", "Create app-1 (missing)"),
        "Wait for app-1 (until it is ready)",
        "Fix image postgres:16 of job dump (it is not fixed yet)",
    ] == project.up()
    assert {"dump": FixedImage("postgres:16", "sha256:postgres:16")} == read_fixed(project.engine().state)
    assert {"dump": "sha256:postgres:16"} == project.world.kept
    assert [] == project.up()


def test_run_has_the_fixed_image_even_if_its_tag_moves(project: Project) -> None:
    """Its environment is that of the job, since no service has its image."""
    project.up()
    project.world.image_ids["postgres:16"] = "sha256:other"
    source = source_of_job(project.engine(), DUMP)
    request = new_request(("printenv", "A"), source, **with_job(DUMP, {"interactive": False}))
    session = project.engine().runs.start(request)

    assert [(1, b"1\n")] == list(session.output())
    assert ("sha256:postgres:16", "", "dump") == (source.image, source.release, source.service)
    assert ("A", "image") == project.engine().runs.records()[0].overrides
    assert [] == project.up()


def test_up_fixes_the_image_of_a_changed_reference(project: Project) -> None:
    """Runs have the old one until then."""
    project.up()
    project.edit(DUMP, image="postgres:17")
    assert "sha256:postgres:16" == source_of_job(project.engine(), project.stack.jobs[0]).image

    assert "Fix image postgres:17 of job dump (before it was postgres:16)" == project.up()[-1]
    assert {"dump": "sha256:postgres:17"} == project.world.kept


def test_image_of_a_build_stays_fixed_when_a_release_is_named(project: Project) -> None:
    """A rollback has no build context of the job, so there is nothing to build its image from."""
    project.edit(BUILT, build=Build(Path(), is_named=True))

    assert () == plan_images(project.engine())


def test_build_builds_the_images_of_jobs(project: Project) -> None:
    """It fixes none, and pulls none: that is for `up`."""
    project.stack = replace(project.stack, jobs=(DUMP, BUILT))
    report = Recorded()
    lifecycle.build(project.engine(), report)

    assert ["Build p-report:job-1 (the job report needs it)"] == report.steps
    assert {} == read_fixed(project.engine().state)


def test_nothing_is_fixed_on_an_engine_without_images(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` has the same steps as without the job."""
    monkeypatch.setattr(Memory, "has_images", False)

    assert () == plan_images(project.engine())


def test_down_with_volumes_forgets_the_images(project: Project) -> None:
    """Without it, they stay fixed, like the data."""
    project.up()
    lifecycle.down(project.engine(), Recorded())
    assert "sha256:postgres:16" == source_of_job(project.engine(), DUMP).image

    lifecycle.down(project.engine(), Recorded(), volumes=True)
    assert {} == project.world.kept
    with pytest.raises(NotUpError, match="its image is not fixed yet"):
        source_of_job(project.engine(), DUMP)


def test_built_image_of_a_job_has_the_digest_of_its_context(tmp_path: Path) -> None:
    """Its tag is no release, so it is not listed among them; another target is another image."""
    (tmp_path / "Dockerfile").write_text("FROM a AS one\n")
    text = (
        "services: {app: {image: x}}\njobs: {report: {build: {context: ., target: TARGET}, triggers: {manual: true}}}"
    )

    def image(target: str) -> str:
        (tmp_path / "compose.yaml").write_text(f"name: p\n{text.replace('TARGET', target)}")
        [job] = load.of_current_release(load.load_stack(tmp_path, {"PATH": ""})).jobs
        return job.changes.container.image

    assert re.fullmatch("p-report:job-[0-9a-f]{12}", image("one"))
    assert image("one") != image("two")
