"""A release command whose `up` was interrupted or killed, on the engine in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from tests.release_commands import release_command
from twelfth.errors import ServiceError
from twelfth.model.job import Changes
from twelfth.model.service import Build, Service
from twelfth.model.stack import Stack
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.stack import deploy

SLOW = ("sh", "-c", "echo applying 0001; echo applying 0002; sleep 0.4")
FAILING = ("sh", "-c", "echo applying 0001; echo applying 0002; sleep 0.5; echo no such key; exit 3")
APP = Service("app", "app:one", build=Build(Path()), pre_start=release_command(SLOW), stop_grace=1)


class KilledError(BaseException):
    """Stands for kill -9 of a process: nothing handles it."""


@dataclass
class Ended(Recorded):
    """A report that ends its `up` at the first line that the release command prints."""

    error: BaseException = field(default_factory=KilledError)

    def detail(self, line: str) -> None:
        """End it, once."""
        super().detail(line)
        if line == "applying 0001" and self.details.count(line) == 1:
            raise self.error


FIRST = ("sh", "-c", "echo first")
LAST = ("sh", "-c", "echo last")


@dataclass
class Site:
    """A stack of one service with a release command."""

    directory: Path
    app: Service = APP
    world: World = field(default_factory=World)

    @property
    def engine(self) -> Memory:
        """Return a new engine."""
        return Memory(Stack("p", self.directory, (self.app,)), self.world)

    def up(self, report: Recorded | None = None) -> list[str]:
        """Bring it up and return the details of its steps."""
        report = report or Recorded()
        deploy.up(self.engine, report)
        return report.details

    def up_that_is_killed(self) -> str:
        """Kill an `up` during its release command, and return the run's id."""
        with pytest.raises(KilledError):
            self.up(Ended())
        return self.running()[0]

    def running(self) -> list[str]:
        """Return the ids of the runs that have not exited."""
        return [run.id for run in self.engine.runs.records() if run.is_running]

    def states(self) -> list[str]:
        """Return the state of each run."""
        return [run.state for run in self.engine.runs.records()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site without any replica."""
    return Site(tmp_path)


@pytest.mark.parametrize("command", ["up", "rollback"])
def test_run_of_a_release_command_has_the_command_as_its_reason(site: Site, command: str) -> None:
    """The history shows why it ran."""
    site.app = replace(APP, pre_start=release_command(FIRST))
    deploy.up(site.engine, Recorded(), deploy.UpOptions(is_rollback=command == "rollback"))

    assert [command] == [run.reason for run in site.engine.runs.records()]


def test_interrupted_up_stops_its_release_command(site: Site) -> None:
    """By Ctrl-C, or TERM, which Python handles alike; the operator sees what is stopped."""
    report = Ended(error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        site.up(report)

    (run,) = site.engine.runs.records()
    assert ("stopped", {}) == (run.state, site.world.replicas)
    assert f"run {run.id} is stopped; please wait" in report.details
    assert f"run {run.id} has 1 s to exit after TERM; then it is killed" in report.details


def test_interrupt_before_the_run_exists_stops_nothing(site: Site) -> None:
    """And is not an error because of that."""
    site.world.failures["run " + "sh -c 'echo applying 0001; echo applying 0002; sleep 0.4'"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        site.up()

    assert () == site.engine.runs.records()


def test_next_up_waits_for_the_release_command_of_one_that_was_killed(site: Site) -> None:
    """It shows its output from the first line on, starts no second run, and then deploys."""
    identity = site.up_that_is_killed()
    details = site.up()

    assert ["done"] == site.states()
    assert [f"Wait for run {identity} (started by an earlier up)", "applying 0001", "applying 0002"] == details
    assert ["app-1"] == list(site.world.replicas)


def test_next_up_fails_as_the_release_command_that_it_waited_for(site: Site) -> None:
    """With that one's last line, exit code and id; the `up` after it runs the command again."""
    site.app = replace(APP, pre_start=release_command(FAILING))
    identity = site.up_that_is_killed()

    with pytest.raises(ServiceError, match=rf"^no such key \(exit code 3, run {identity}\)"):
        site.up()
    assert (["failed"], {}) == (site.states(), site.world.replicas)
    with pytest.raises(ServiceError, match="no such key"):
        site.up()
    assert ["failed", "failed"] == site.states()


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "app:two"},
        {"environment": (("LEVEL", "debug"),)},
        {"pre_start": release_command(("sh", "-c", "echo applying 0001; echo applying 0003"))},
    ],
    ids=["release", "configuration", "command"],
)
def test_release_command_of_something_else_is_waited_for_and_not_taken_for_this_one(
    site: Site, changes: dict[str, object]
) -> None:
    """The two never run at the same time."""
    identity = site.up_that_is_killed()
    site.app = replace(site.app, **changes)  # type: ignore[arg-type]
    details = site.up()

    first, second = site.engine.runs.records()
    assert ("done", "done", identity) == (first.state, second.state, first.id)
    assert f"Wait for run {identity} (started by an earlier up)" == details[0] or site.app.image in details[0]
    assert first.finished <= second.started


def test_run_of_an_operator_is_not_waited_for(site: Site) -> None:
    """Though its command is the same."""
    site.app = replace(APP, pre_start=release_command(("cat",)))
    site.up()
    request = new_request(("cat",), choose_source(site.engine), reason="up")
    site.engine.runs.start(request)
    site.app = replace(site.app, image="app:two")
    site.up()

    assert [request.id] == site.running()


def test_release_command_of_another_service_is_not_waited_for(site: Site) -> None:
    """Nor of one whose name this one's begins with."""
    identity = site.up_that_is_killed()
    site.app = replace(APP, name="ap", pre_start=release_command(("true",)))
    site.up()

    assert [identity] == site.running()


def test_interrupt_while_an_earlier_release_command_is_waited_for_stops_that(site: Site) -> None:
    """It is this `up`'s by then."""
    site.up_that_is_killed()
    with pytest.raises(KeyboardInterrupt):
        site.up(Ended(error=KeyboardInterrupt()))

    assert ["stopped"] == site.states()


def commands(site: Site) -> list[tuple[str, ...]]:
    """Return the commands of its runs, in order."""
    return [run.command for run in site.engine.runs.records()]


def test_release_commands_run_in_order_before_any_replica(site: Site) -> None:
    """Each is a step of the plan and a recorded run; the first that fails stops the deploy."""
    site.app = replace(APP, pre_start=release_command(FIRST, ("false",), LAST))
    with pytest.raises(ServiceError, match=r"^the release command printed nothing \(exit code 1, run "):
        site.up()
    assert ([FIRST, ("false",)], {}) == (commands(site), site.world.replicas)

    site.app = replace(APP, pre_start=release_command(FIRST, LAST))
    assert [
        "Run sh -c 'echo first' (before the first app of its release)",
        "Run sh -c 'echo last' (before the first app of its release)",
    ] == [str(step) for step in deploy.plan_up(site.engine)][:2]
    site.up()
    site.up()
    assert [FIRST, ("false",), FIRST, LAST] == commands(site)


def test_next_up_does_not_repeat_what_succeeded_before_the_running_release_command(site: Site) -> None:
    """It waits for that one, and continues with the next, also if that has been edited meanwhile."""
    site.app = replace(APP, pre_start=release_command(FIRST, SLOW, ("true",)))
    identity = site.up_that_is_killed()
    site.app = replace(APP, pre_start=release_command(FIRST, SLOW, LAST))
    details = site.up()

    assert [FIRST, SLOW, LAST] == commands(site)
    assert f"Skip: it succeeded before run {identity}, which an earlier up started" == details[0]
    assert ["app-1"] == list(site.world.replicas)


def test_next_up_repeats_all_release_commands_if_the_first_has_changed(site: Site) -> None:
    """What ran before the running one is another command."""
    site.app = replace(APP, pre_start=release_command(FIRST, SLOW))
    site.up_that_is_killed()
    site.app = replace(APP, pre_start=release_command(LAST, SLOW))
    site.up()

    assert [FIRST, SLOW, LAST, SLOW] == commands(site)


def test_release_command_has_its_environment_and_image(site: Site) -> None:
    """The image is ensured as a step of the same `up`."""
    changed = Service("app", "tool:1", environment=(("LEVEL", "2"),), command=("printenv", "LEVEL"))
    site.app = replace(
        APP,
        environment=(("LEVEL", "1"),),
        pre_start=(*release_command(("printenv", "LEVEL")), Changes(changed, frozenset({"image", "environment"}))),
    )
    steps = [str(step) for step in deploy.plan_up(site.engine)]
    details = site.up()

    assert ["Build app:one (missing)", "Pull tool:1 (missing)"] == steps[:2]
    assert ["app:one", "tool:1"] == [run.image for run in site.engine.runs.records()]
    assert ["1", "2"] == [line for line in details if line.isdecimal()]
