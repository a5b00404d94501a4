"""`scale`, `releases`, `rollback` and `prune`, on the engine in memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded, eventually
from tests.memory_engine import Memory, MemoryState, World
from twelfth.engines.local.state_directory import StateDirectory
from twelfth.errors import BusyError, EngineError, MisuseError, NotUpError
from twelfth.model.service import Build, Port, Service
from twelfth.model.snapshot import BuiltRelease
from twelfth.model.stack import Stack
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.stack import deploy, lifecycle, load, release_choice
from twelfth.stack.deploy_record import (
    Deploy,
    Deploys,
    forget_deploys,
    note_build,
    note_deploy,
    note_scale,
    read_deploys,
    scaled_as_before,
    why_not_scaled,
)
from twelfth.stack.stack_file import recall
from twelfth.stack.status import status

if TYPE_CHECKING:
    from collections.abc import Collection

WORKER = Service("worker", "app:one", build=Build(Path()), stop_grace=1)


class Project:
    """A stack of one service, whose release a test changes."""

    def __init__(self, directory: Path) -> None:
        """Begin with nothing."""
        self.world, self.directory = World(), directory

    def engine(self, release: str = "one", replicas: int = 1) -> Memory:
        """Return an engine for a release."""
        service = replace(WORKER, image=f"app:{release}", replicas=replicas)
        engine = Memory(Stack("p", self.directory, (service,)), self.world)
        return engine.with_stack(scaled_as_before(engine.stack, read_deploys(engine.state).scale))

    def up(self, release: str, *, is_rollback: bool = False) -> list[str]:
        """Deploy a release; return the steps."""
        report = Recorded()
        deploy.up(self.engine(release), report, deploy.UpOptions(1, is_rollback=is_rollback))
        return report.steps

    def scale(self, number: int) -> list[str]:
        """Scale the running release, whatever the files are; return the steps."""
        report, engine = Recorded(), self.engine("of-the-files")
        lifecycle.scale(engine, load.scaled_service(engine.stack, f"worker={number}"), report, 1)
        return report.steps

    def serving(self) -> list[str]:
        """Return the releases of the replicas that serve."""
        return [each.release for each in self.engine().replicas("worker") if each.serves]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project of which one release serves."""
    project = Project(tmp_path)
    project.up("one")
    return project


def test_scale_makes_replicas_of_what_runs_and_never_deploys(project: Project) -> None:
    """Just like the one that serves, each admitted when it is ready; and removes the highest numbers again."""
    assert [
        "Create worker-2 (scale to 3)",
        "Wait for worker-2 (until it is ready)",
        "Create worker-3 (scale to 3)",
        "Wait for worker-3 (until it is ready)",
    ] == project.scale(3)
    assert ["one"] * 3 == project.serving()

    assert ["Remove worker-3 (scale to 1)", "Remove worker-2 (scale to 1)"] == project.scale(1)
    assert [] == project.scale(1)


def test_stack_without_volumes_stays_where_it_was(project: Project) -> None:
    """Its record of runs does, too; only a `down` that is to leave nothing forgets where."""
    project.up("one")
    lifecycle.down(project.engine(), Recorded())
    after_down = recall(project.engine().stack.directory)
    lifecycle.down(project.engine(), Recorded(), volumes=True)

    assert ["memory"] == [each.engine for each in after_down]
    assert () == recall(project.engine().stack.directory)


def test_scale_is_remembered_by_the_next_up(project: Project) -> None:
    """Until another number is asked for, or nothing is left of the stack."""
    project.scale(3)
    project.up("two")
    assert ["two"] * 3 == project.serving()

    lifecycle.down(project.engine(), Recorded())
    project.up("two")
    assert ["two"] * 3 == project.serving()

    lifecycle.down(project.engine(), Recorded(), volumes=True)
    project.up("two")
    assert ["two"] == project.serving()


def test_scale_of_another_operator_is_kept_by_an_up_that_began_before(project: Project) -> None:
    """The number is read again under the lock; one that this `up` sets itself counts more."""
    late, own = project.engine("two"), project.engine("three")
    own = own.with_stack(load.scaled(own.stack, ["worker=2"]))
    project.scale(3)
    deploy.up(late, Recorded(), deploy.UpOptions(1))
    assert ["two"] * 3 == project.serving()

    deploy.up(own, Recorded(), deploy.UpOptions(1, scaled=("worker",)))
    assert ["three"] * 2 == project.serving()


def test_failed_deploys_do_not_evict_successful_ones() -> None:
    """However many there are: a rollback still finds where to go, and deploys have as many files as before."""
    state = MemoryState(World())
    note_deploy(state, "one", "ann")
    note_deploy(state, "two", "ann")
    for number in range(60):
        note_deploy(state, f"bad-{number}", "ann", has_failed=True)

    deploys = read_deploys(state)
    assert ["one", "two"] == [deploy.release for deploy in deploys.deployed]
    assert 20 == len([deploy for deploy in deploys.all if deploy.has_failed])
    assert 22 == len(state.read("stack"))


def test_same_release_again_is_one_entry() -> None:
    """With the time of the last deploy; so repeated deploys evict nothing."""
    state = MemoryState(World())
    note_deploy(state, "one", "ann")
    for operator in ("bob", "cat"):
        note_deploy(state, "two", operator)

    assert [("one", "ann"), ("two", "cat")] == [(deploy.release, deploy.operator) for deploy in read_deploys(state).all]


def test_torn_record_of_a_deploy_hides_no_other() -> None:
    """A full disk tears the file that is being written."""
    state = MemoryState(World())
    for release in ("one", "two", "three"):
        note_deploy(state, release, "ann")
    state.write({"stack/deploy-02.json": b""})

    assert ["one", "three"] == [deploy.release for deploy in read_deploys(state).deployed]


def test_number_of_a_service_that_can_have_only_one_is_not_used(tmp_path: Path) -> None:
    """It publishes a port by now; a warning says so."""
    stack = Stack("p", tmp_path, (replace(WORKER, ports=(Port(80, 80),)),))
    state = MemoryState(World())
    note_scale(state, {"worker": 3})

    scale = read_deploys(state).scale
    assert stack == scaled_as_before(stack, scale)
    assert ["worker has 1 replica, no longer 3: it publishes port 80"] == [*why_not_scaled(stack, scale)]


def test_scale_of_what_does_not_run_is_refused(tmp_path: Path) -> None:
    """There is nothing to make it from."""
    with pytest.raises(NotUpError, match="invoke up"):
        Project(tmp_path).scale(2)


def test_rollback_goes_to_the_release_before(project: Project) -> None:
    """And again to the one before that; the next `up` deploys what the files give."""
    project.up("two")
    project.up("three")
    for expected in ("two", "one"):
        before = release_choice.to_roll_back_to(project.engine())
        assert expected == before
        project.up(before, is_rollback=True)
        assert [expected] == project.serving()
    with pytest.raises(NotUpError, match="no release from before one is still built"):
        release_choice.to_roll_back_to(project.engine())

    project.up("three")
    assert ["three"] == project.serving()


def test_rollback_to_a_release_that_is_no_longer_the_previous_one_is_refused(project: Project) -> None:
    """Another command deployed one between the choice and the lock."""
    project.up("two")
    options = deploy.UpOptions(1, is_rollback=True, is_to_previous=True)
    chosen = project.engine(release_choice.to_roll_back_to(project.engine()))
    project.up("three")

    with pytest.raises(BusyError, match=r"another command has changed the running release. Try: invoke rollback$"):
        deploy.up(chosen, Recorded(), options)
    assert ["three"] == project.serving()


def test_rollback_of_what_has_crashed_goes_to_the_release_before(project: Project) -> None:
    """That is when it is needed most, and nothing serves."""
    project.up("two")
    for name in project.world.replicas:
        project.world.end_replica(name, "bad")

    assert [] == project.serving()
    assert "one" == release_choice.to_roll_back_to(project.engine())


def test_rollback_after_a_rollback_goes_to_what_served_before(project: Project) -> None:
    """And not to the release that was rolled back from."""
    project.up("two")
    project.up("one", is_rollback=True)
    project.up("three")

    assert "one" == release_choice.to_roll_back_to(project.engine())


def test_rollback_to_a_release_that_is_named_is_what_the_next_goes_back_from(project: Project) -> None:
    """Also forward, to one that was rolled back from."""
    project.up("two")
    project.up("one", is_rollback=True)
    project.up("two", is_rollback=True)

    assert "one" == release_choice.to_roll_back_to(project.engine())


def test_rollback_builds_nothing(project: Project) -> None:
    """The release exists."""
    project.up("two")

    assert not [step for step in project.up("one", is_rollback=True) if step.startswith("Build")]


@pytest.mark.parametrize(
    ("named", "message"), [("x", "release x is not built"), ("t", "2 releases start with t"), ("two", "")]
)
def test_release_to_go_back_to_is_named_by_its_beginning(project: Project, named: str, message: str) -> None:
    """One that does not exist, or is not the only one, is refused."""
    project.up("two")
    project.up("three")

    if not message:
        assert "two" == release_choice.to_roll_back_to(project.engine(), named)
        return
    with pytest.raises(MisuseError, match=f"cannot roll back: {message}"):
        release_choice.to_roll_back_to(project.engine(), named)


def test_rollback_of_a_deploy_that_stopped_half_way_goes_to_the_one_before_it(project: Project) -> None:
    """Both serve; the new one is the one to leave."""
    project.up("two")
    (old,) = project.engine().replicas("worker")
    project.up("three")
    project.world.replicas["worker-9"] = replace(old, number=9, id="nine")

    assert "two" == release_choice.to_roll_back_to(project.engine())


def test_rollback_of_a_first_deploy_that_was_interrupted_goes_to_the_running_release(project: Project) -> None:
    """The new release was never deployed completely, so it is in no list; the other one runs, too."""
    project.up("two")
    (old,) = project.engine().replicas("worker")
    project.world.images.append("app:three")
    project.world.replicas["worker-9"] = replace(old, number=9, id="nine", release="three")

    assert "two" == release_choice.to_roll_back_to(project.engine())


def test_release_that_a_rollback_would_go_to_is_kept(project: Project) -> None:
    """However many were built since, and never deployed."""
    for number in range(6):
        note_build(project.engine().state, f"b{number}")
        project.world.images.append(f"app:b{number}")
    steps = project.up("two")

    assert "Remove release b0 (the last 5 are kept)" in steps
    assert "one" == release_choice.to_roll_back_to(project.engine())


def test_rollback_passes_over_what_was_removed(project: Project) -> None:
    """Without an image there is nothing to go back to."""
    project.up("two")
    project.up("three")
    project.engine().remove_release("two")

    assert "one" == release_choice.to_roll_back_to(project.engine())


def test_releases_say_which_serves(project: Project) -> None:
    """The newest first."""
    project.up("two")

    assert [("two", True), ("one", False)] == [
        (each.id, each.serving) for each in release_choice.releases(project.engine())
    ]


def test_releases_of_other_projects_are_omitted_unless_they_were_deployed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their images have the same name, if a Compose file names it."""
    project.up("two")
    images = [replace(release, project="other") for release in (*project.engine().releases(), *built("three"))]
    monkeypatch.setattr(Memory, "releases", lambda _: (*images, replace(built("four")[0], project="p")))

    assert ["two", "one", "four"] == [release.id for release in release_choice.releases(project.engine())]


def test_up_removes_the_releases_that_nothing_needs(project: Project) -> None:
    """All but the newest five; each is reported."""
    for number in range(2, 6):
        project.up(f"r{number}")

    assert "Remove release one (the last 5 are kept)" == project.up("r6")[-1]
    assert ["r6", "r5", "r4", "r3", "r2"] == [each.id for each in project.engine().releases()]


def built(*names: str) -> tuple[BuiltRelease, ...]:
    """Return releases, the newest first."""
    return tuple(BuiltRelease(name, f"2026-01-0{9 - place}T00:00:00+00:00", "", 1) for place, name in enumerate(names))


def deploy_of(release: str, day: int, *, has_failed: bool = False, is_rollback: bool = False) -> Deploy:
    """Return a deploy of a release on a day of January."""
    return Deploy(release, f"2026-01-{day:02}T12:00:00+00:00", "ann", is_rollback, has_failed)


@pytest.mark.parametrize(
    ("used", "keep", "removed"),
    [((), 1, ["b", "c", "d"]), (("c",), 1, ["b", "d"]), (("a", "d"), 0, ["b", "c"]), ((), 9, [])],
)
def test_releases_that_are_used_are_kept(used: tuple[str, ...], keep: int, removed: list[str]) -> None:
    """However old they are."""
    steps = release_choice.prunable(built("a", "b", "c", "d"), Deploys(), used, keep)

    assert removed == [step.release.id for step in steps]


@pytest.mark.parametrize(
    ("deploys", "removed"),
    [
        ((deploy_of("d", 10), deploy_of("c", 11)), ["a", "b"]),
        ((deploy_of("d", 10), deploy_of("a", 11, has_failed=True), deploy_of("b", 12)), ["c", "a"]),
        ((deploy_of("a", 10), deploy_of("d", 11), deploy_of("c", 12), deploy_of("d", 13)), ["a", "b"]),
        ((deploy_of("d", 1), deploy_of("c", 2)), []),
    ],
    ids=["others", "failed", "deployed again", "built after the last deploy"],
)
def test_releases_that_were_deployed_are_kept_before_others(deploys: tuple[Deploy, ...], removed: list[str]) -> None:
    """Two are kept: those that were deployed last; those of failed deploys go first."""
    steps = release_choice.prunable(built("a", "b", "c", "d"), Deploys(deploys), (), 2)

    assert removed == [step.release.id for step in steps]


def test_rollbacks_take_back_deploys() -> None:
    """The list that later rollbacks go through has no deploy that was rolled back, and no failed one."""
    deploys = (deploy_of("a", 1), deploy_of("b", 2), deploy_of("x", 3, has_failed=True), deploy_of("c", 4))

    assert ["a", "b", "c"] == [past.release for past in Deploys(deploys).deployed]
    back = (*deploys, deploy_of("b", 5, is_rollback=True))
    assert ["a", "b"] == [past.release for past in Deploys(back).deployed]
    assert ["a"] == [past.release for past in Deploys((*back, deploy_of("a", 6, is_rollback=True))).deployed]


def test_failed_deploy_is_recorded(project: Project) -> None:
    """`releases` shows when it failed; a rollback does not go to it."""
    project.world.dying["worker"] = "bad"
    with pytest.raises(EngineError):
        project.up("two")
    project.world.dying.clear()
    project.up("three")

    releases = {release.id: release for release in release_choice.releases(project.engine())}
    assert [True, False] == [bool(releases["two"].failed), bool(releases["two"].deployed)]
    assert [False, True] == [bool(releases["three"].failed), bool(releases["three"].deployed)]
    assert ["one"] == [name for name, release in releases.items() if release.is_previous]


def test_release_of_a_running_run_is_kept(project: Project) -> None:
    """The run needs it until it exits."""
    engine = project.engine()
    request = new_request(("sleep", "60"), choose_source(engine))
    engine.runs.detach(request)
    project.up("two")
    project.up("three")
    assert [] == list(release_choice.plan_prune(project.engine(), keep=1))

    engine.runs.stop(request.id, lambda _: None)
    assert ["one"] == [step.release.id for step in release_choice.plan_prune(project.engine(), keep=1)]


def test_up_that_waits_for_runs_replaces_nothing_before_they_end(project: Project) -> None:
    """It says which it waits for."""
    engine = project.engine()
    request = new_request(("sleep", "60"), choose_source(engine))
    engine.runs.detach(request)
    report = Recorded()
    options = deploy.UpOptions(1, waits_for_runs=True)
    thread = threading.Thread(target=deploy.up, args=(project.engine("two"), report, options))
    thread.start()
    assert eventually(lambda: f"run {request.id} is running: sleep 60" in report.details)
    time.sleep(0.3)
    assert ["one"] == project.serving()

    engine.runs.stop(request.id, lambda _: None)
    thread.join(10)
    assert ["two"] == project.serving()


def test_garbled_memory_of_deploys_is_none(project: Project) -> None:
    """Nothing is scaled, nothing is gone back to; the next deploy is written down again."""
    state = project.engine().state
    damaged = {"deploy-01.json": b"[", "deploy-02.json": b"{}", "scale-worker": b"x", "accepted.json": b"\xff"}
    state.write({f"stack/{name}": content for name, content in damaged.items()})

    assert Deploys(built=frozenset({"one"})) == read_deploys(state)
    project.up("two")
    assert ["two"] == [deploy.release for deploy in read_deploys(state).deployed]


def test_what_is_noted_at_once_is_all_kept(tmp_path: Path) -> None:
    """As by several `build`s beside each other, which need not wait for a deploy."""
    names = {f"r{number}" for number in range(24)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: note_build(StateDirectory(tmp_path), name), names))

    assert names == read_deploys(StateDirectory(tmp_path)).built


def test_what_was_built_is_known_after_the_stack_has_gone(project: Project) -> None:
    """Otherwise its images could not be pruned; all else is forgotten."""
    state = project.engine().state
    project.scale(2)
    note_build(state, "r1")
    forget_deploys(state)
    found = read_deploys(state)

    assert ({"r1"}, (), {}) == ({*found.built} & {"r1"}, found.deployed, found.scale)


def test_status_shows_who_has_the_lock(project: Project) -> None:
    """And for what; nothing after that, whatever the file contains."""
    with project.engine().state.lock("deploying"):
        assert "(deploying since" in status(project.engine()).deploy
    assert "" == status(project.engine()).deploy


def test_status_counts_what_serves(project: Project) -> None:
    """A replica that is not admitted yet is none of those that are wanted, nor a reason not to be ready."""
    project.scale(3)
    replicas = project.world.replicas
    replicas["worker-3"] = replace(replicas["worker-3"], state="exited (1)", restarts=4)
    replicas["worker-4"] = replace(replicas["worker-1"], id="new", number=4, is_admitted=False, release="two")
    (service,) = status(project.engine()).services

    assert (2, 3, 4) == (service.ready, service.wanted, service.restarts)
    assert ["one", "one", "one", "two"] == [each.release for each in service.each]
    assert "worker has 2 of 3 replicas. Try: invoke up" == status(project.engine()).why


class Keeping(Memory):
    """An engine that keeps releases, and forgets them when a test asks it to."""

    kept: frozenset[str] = frozenset()
    calls = 0

    def keeps_release(self, release: str) -> bool:
        """Return whether it was kept."""
        return release in self.kept

    def keep_releases(self, releases: Collection[str]) -> None:
        """Keep these."""
        self.kept, self.calls = frozenset(releases), self.calls + 1


def test_releases_are_listed_only_if_one_has_to_be_kept(tmp_path: Path) -> None:
    """A daemon with many images takes a second to list them; an `up` that was killed may have kept none."""
    engine = Keeping(Stack("p", tmp_path, (WORKER,)), World())
    deploy.up(engine, Recorded())
    before = engine.calls
    deploy.up(engine, Recorded())
    assert before == engine.calls
    assert {"one"} == engine.kept

    engine.kept = frozenset()
    deploy.up(engine, Recorded())
    assert {"one"} == engine.kept
