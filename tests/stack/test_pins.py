"""Releases of pulled images, on the engine in memory: `up` pins an image, and `pull` moves the pin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.errors import EngineError, MisuseError, NoReleaseError
from twelfth.model.job import Changes
from twelfth.model.pin import Pin
from twelfth.model.service import Build, Mount, Service
from twelfth.model.stack import Stack, with_pin
from twelfth.runs.source import choose_source
from twelfth.stack import deploy, lifecycle, notices, pins, release_choice
from twelfth.stack.pull import changed, plan_pull, pull

if TYPE_CHECKING:
    from twelfth.engines.contract import Engine

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
R1, R2, R3 = (digest[:12] for digest in (ONE, TWO, THREE))
DB = Service("db", "redis:8", mounts=(Mount("volume", "/data", "data"),))
APP = Service("app", "r/app:v1", stop_grace=1, monitor=0)


@dataclass
class Project:
    """A stack with an app, a worker of the same image, and a database."""

    world: World = field(default_factory=lambda: World(digests={"r/app:v1": ONE, "r/app:v2": TWO, "redis:8": THREE}))

    def stack(self, tag: str) -> Stack:
        """Return the stack with a tag."""
        app = replace(APP, image=f"r/app:{tag}")
        return Stack("p", Path(), (DB, replace(app, name="worker"), app), runs_from="app")

    def engine(self, tag: str = "v1", release: str = "") -> Engine:
        """Return an engine with the pinned stack, or that of a release."""
        return pins.with_pins(Memory(self.stack(tag), self.world), release)

    def up(self, tag: str, release: str = "") -> list[str]:
        """Deploy, and return the steps that were reported."""
        report, options = Recorded(), deploy.UpOptions(1, is_rollback=bool(release))
        deploy.up(self.engine(tag, release), report, options)
        return report.steps

    def rollback(self, tag: str) -> str:
        """Deploy the previous release, and return it."""
        release = release_choice.to_roll_back_to(Memory(self.stack(tag), self.world))
        self.up(tag, release)
        return release

    def pull(self, name: str = "") -> tuple[str, ...]:
        """Pull, and return what has changed."""
        engine = Memory(self.stack("v1"), self.world)
        pulled = pull(engine, plan_pull(engine, [name] if name else []), Recorded())
        assert () == pulled.errors
        return pulled.lines

    def running(self) -> dict[str, str]:
        """Return the running releases by service."""
        return {replica.service: replica.release for replica in self.world.replicas.values()}

    def releases(self) -> list[str]:
        """Return the releases, the newest first."""
        return [release.id for release in release_choice.releases(Memory(self.stack("v1"), self.world))]


@pytest.fixture
def project() -> Project:
    """Return a project that is not up."""
    return Project()


def running(release: str) -> dict[str, str]:
    """Return the releases that run if one is deployed."""
    return {"db": "", "worker": release, "app": release}


def test_release_is_named_by_the_digest_of_its_repository_else_by_the_id_of_its_image() -> None:
    """An image that was only loaded has no digest."""
    assert R1 == Pin("r/app:v1", "sha256:" + TWO, f"r/app@sha256:{ONE}").release
    assert R2 == Pin("app:v1", "sha256:" + TWO).release


def test_services_with_the_image_of_runs_have_releases() -> None:
    """If a service is built, only that has; if runs could be made from several images, none: one may be a database."""
    stack = Project().stack("v1")

    assert ("worker", "app") == tuple(service.name for service in stack.released)
    assert () == replace(stack, runs_from="").released
    assert ("app",) == tuple(service.name for service in replace(stack, runs_from="", services=(APP,)).released)
    assert () == replace(stack, services=(*stack.services, Service("web", "w", build=Build(Path())))).released


def test_release_commands_are_made_from_the_pinned_image() -> None:
    """Those with the image of their service; other commands keep their image."""
    commands = (Changes(Service("app", APP.image)), Changes(Service("app", "other")))
    stack = Stack("p", Path(), (replace(APP, pre_start=commands),))
    service = with_pin(stack, Pin("r/app:v1", "sha256:a"), "sha256:a").services[0]

    assert ("sha256:a", "sha256:a", "other") == (
        service.image,
        *(command.container.image for command in service.pre_start),
    )


def test_up_deploys_the_image_of_a_new_tag(project: Project) -> None:
    """It is pulled once for both services; the database has no release."""
    steps = project.up("v1")
    assert 1 == steps.count("Pull r/app:v1 (missing)")
    assert running(R1) == project.running()

    project.up("v2")
    assert running(R2) == project.running()
    assert [R2, R1] == project.releases()
    assert {"r/app@sha256:" + TWO} == {
        replica.image for replica in project.world.replicas.values() if replica.service != "db"
    }


def test_moved_tag_changes_nothing_until_pull(project: Project) -> None:
    """Neither in the registry nor on the daemon; `up` warns of the latter."""
    project.up("v1")
    project.world.digests["r/app:v1"] = TWO
    assert [] == project.up("v1")
    assert [] == [*notices.moved_tags(project.engine())]

    project.world.local["r/app:v1"] = TWO
    assert [] == project.up("v1")
    assert [f"r/app:v1 is now {R2} on the daemon; worker keeps {R1}. Try: invoke pull worker"] == [
        *notices.moved_tags(project.engine())
    ]

    before = dict(project.world.replicas)
    assert (f"worker: r/app:v1 is now {R2}, was {R1}", "Try: invoke up") == project.pull("worker")
    assert before == project.world.replicas
    project.up("v1")
    assert running(R2) == project.running()
    assert [] == [*notices.moved_tags(project.engine())]


def test_pull_counts_although_another_machine_pulled_with_a_clock_that_is_ahead(project: Project) -> None:
    """The order of pulls is not that of clocks."""
    project.up("v1")
    year = str(datetime.now(UTC).year).encode()
    project.world.files = {name: text.replace(year + b"-", b"2999-") for name, text in project.world.files.items()}
    project.world.digests["r/app:v1"] = TWO
    project.pull("app")

    project.up("v1")
    assert running(R2) == project.running()


def test_loaded_image_that_was_removed_is_no_longer_pinned(project: Project) -> None:
    """It cannot be pulled by its id; its tag may lead to another image by now."""
    gone = Pin("r/app:v1", f"sha256:{THREE}")
    pins.record(Memory(project.stack("v1"), project.world), gone, is_pulled=False)
    project.world.local["r/app:v1"] = TWO
    assert [] == [*notices.moved_tags(project.engine())]
    del project.world.local["r/app:v1"]
    with pytest.raises(NoReleaseError, match="its image was removed, and no registry has it"):
        project.engine("v1", R3)

    project.up("v1")
    assert running(R1) == project.running()


def test_pull_of_all_includes_the_database_which_has_no_release(project: Project) -> None:
    """Nothing is pinned for it."""
    project.up("v1")
    project.world.digests["redis:8"] = TWO

    lines = project.pull()
    assert (f"db: redis:8 is now {R2}, was {R3}", f"worker: r/app:v1 is unchanged, {R1}", "Try: invoke up") == lines
    assert [R1] == project.releases()


def test_image_that_cannot_be_pulled_does_not_keep_the_others_from_it(project: Project) -> None:
    """Each error is reported."""
    project.up("v1")
    project.world.digests["r/app:v1"] = TWO
    project.world.failures["image redis:8"] = EngineError("cannot pull redis:8")
    engine = Memory(project.stack("v1"), project.world)

    pulled = pull(engine, plan_pull(engine), Recorded())

    assert ("cannot pull redis:8",) == pulled.errors
    assert (f"worker: r/app:v1 is now {R2}, was {R1}", "Try: invoke up") == pulled.lines


def test_pull_names_what_it_cannot_pull(project: Project) -> None:
    """A service that is built, or that does not exist."""
    stack = Stack("p", Path(), (Service("web", "w", build=Build(Path())), DB))
    engine = Memory(stack, project.world)

    assert ("db",) == tuple(service.name for service in plan_pull(engine))
    for name, message in {"web": "web: it is built. Try: invoke up", "x": "there are web, db"}.items():
        with pytest.raises(MisuseError, match=message):
            plan_pull(engine, [name])


def test_result_of_a_pull_names_both_images() -> None:
    """The first pull has only one."""
    before, after = Pin("a", "sha256:" + ONE), Pin("a", "sha256:" + TWO)

    assert f"app: a is now {R2}, was {R1}" == changed("app", "a", before, after)
    assert f"app: a is now {R2}" == changed("app", "a", None, after)
    assert f"app: a is unchanged, {R1}" == changed("app", "a", before, before)
    assert "app: a is missing" == changed("app", "a", before, None)


def test_failed_release_keeps_the_previous_one_and_its_pin(project: Project) -> None:
    """Its tag stays pinned, too, so that a repeated `up` deploys the same."""
    project.up("v1")
    project.world.dying["app"] = "broken"
    with pytest.raises(EngineError):
        project.up("v2")
    del project.world.dying["app"]
    project.world.digests["r/app:v1"] = THREE

    project.up("v1")
    assert running(R1) == project.running()
    listed = release_choice.releases(Memory(project.stack("v1"), project.world))
    assert [(R2, True), (R1, False)] == [(release.id, bool(release.failed)) for release in listed]


def test_rollback_deploys_the_previous_digest_and_the_next_up_the_tag_again(project: Project) -> None:
    """As it does with a release that is built."""
    project.up("v1")
    project.up("v2")

    assert R1 == project.rollback("v2")
    assert running(R1) == project.running()
    project.up("v2")
    assert running(R2) == project.running()


def test_missing_image_of_a_release_is_pulled_by_its_digest(project: Project) -> None:
    """Its tag may name another image by now."""
    project.up("v1")
    project.up("v2")
    project.world.images.remove("r/app@sha256:" + ONE)

    release = release_choice.to_roll_back_to(Memory(project.stack("v2"), project.world))
    assert f"Pull r/app@sha256:{ONE} (missing)" in project.up("v2", release)
    assert running(R1) == project.running()


def test_run_is_made_from_a_named_release(project: Project) -> None:
    """It need not be running, but must be known."""
    project.up("v1")
    project.up("v2")

    source = choose_source(project.engine("v2", R1), R1)
    assert (R1, "r/app@sha256:" + ONE) == (source.release, source.image)
    with pytest.raises(NoReleaseError, match=f"release {R3}: this stack has no such release. Try: invoke releases"):
        project.engine("v2", R3)
    ambiguous = Memory(replace(project.stack("v1"), runs_from=""), project.world)
    with pytest.raises(MisuseError, match=r"made from any of db, worker, app\. Add to the Compose file x-twelfth"):
        pins.with_pins(cast("Engine", ambiguous), R1)


def test_prune_removes_unused_releases_and_never_the_previous_one_or_a_database(project: Project) -> None:
    """The one that `rollback` deploys is kept, although the database has no release."""
    for tag, digest in {"v1": ONE, "v2": TWO, "v3": "4" * 64}.items():
        project.world.digests[f"r/app:{tag}"] = digest
        project.up(tag)
    lifecycle.prune(Memory(project.stack("v3"), project.world), Recorded(), 0)

    assert ["444444444444", R2] == project.releases()
    assert "r/app@sha256:" + ONE not in project.world.images
    assert "redis:8" in project.world.images
    assert {R2, "444444444444"} == project.world.kept_releases.keys()


def test_image_that_is_always_pulled_follows_its_tag(project: Project) -> None:
    """`pull_policy: always`; a rollback still deploys what it names."""
    stack = project.stack("v1")
    always = replace(stack, services=tuple(replace(service, pull_policy="always") for service in stack.services))

    def up(release: str = "") -> list[str]:
        report, options = Recorded(), deploy.UpOptions(1, is_rollback=bool(release))
        deploy.up(pins.with_pins(Memory(always, project.world), release), report, options)
        return report.steps

    up()
    project.world.digests["r/app:v1"] = TWO
    up()
    assert running(R2) == project.running()

    assert "Pull r/app:v1 (pull_policy is always)" not in up(R1)
    assert running(R1) == project.running()


def test_running_stack_that_something_else_deployed_becomes_a_release(project: Project) -> None:
    """Its first `up` changes no replica, and a rollback goes back to it."""
    project.world.local["r/app:v1"] = ONE
    engine = project.engine()
    for service in engine.stack.services:
        engine.ensure_image(service, lambda _: None)
    project.up("v1")
    project.world.files = {path: content for path, content in project.world.files.items() if "stack/" not in path}

    assert [] == project.up("v1")
    project.up("v2")
    assert R1 == project.rollback("v2")


def test_releases_are_forgotten_with_the_data_of_the_stack(project: Project) -> None:
    """Their images lose their protection."""
    project.up("v1")
    lifecycle.down(project.engine(), Recorded(), volumes=True)

    assert [] == project.releases()
    assert {} == project.world.kept_releases


def test_damaged_record_of_a_release_counts_as_missing(project: Project) -> None:
    """A full disk can tear a file."""
    project.up("v1")
    project.world.files |= {path: b"{" for path in project.world.files if pins.PREFIX in path}

    assert [] == project.releases()
