"""`up` and `down` step by step, and each way in which they can fail, on the engine in memory."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Recorded, eventually
from tests.memory_engine import Memory, World
from tests.release_commands import release_command
from twelfth.engines import tcp
from twelfth.errors import BusyError, EngineError, IdentityError, MisuseError, NotUpError, ServiceError
from twelfth.model.service import Build, Mount, Port, Reload, Service
from twelfth.model.snapshot import Health, Replica
from twelfth.model.stack import Network, Stack, Volume
from twelfth.runs.history import Query, history
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.stack import deploy, lifecycle, load, replicas, status
from twelfth.stack.stack_file import recall, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twelfth.model.run import Run

REDIS = Service("redis", "redis:8", networks=("back",), mounts=(Mount("volume", "/data", "data"),))
WORKER = Service(
    "worker",
    "app:one",
    build=Build(Path()),
    networks=("front", "back"),
    depends_on=("redis",),
    stop_grace=1,
    pre_start=release_command(("sh", "-c", "echo applying 0001; echo applied")),
)
NETWORKS = (Network("front"), Network("back", internal=True))
MIGRATE = "run sh -c 'echo applying 0001; echo applied'"
CHANGES = [
    "image redis:8",
    "image app:one",
    "image haproxy:3",
    "create front",
    "create back",
    "create data",
    "create redis-1",
    MIGRATE,
    "create worker-1",
    "admit worker-1",
    "create web-1",
]
"""The changes of the first `up`, in order."""

TRIED = ["create web-2", "remove web-2"]
"""The changes of a trial of the proxy."""

ROLLED = ["create new worker-1", "start new worker-1", "admit new worker-1", "remove worker-1"]
"""The changes that replace the worker."""


@dataclass
class Project:
    """A stack in memory; tests change it as an operator edits files."""

    stack: Stack
    world: World = field(default_factory=World)
    report: Recorded = field(default_factory=Recorded)

    def engine(self) -> Memory:
        """Return a new engine."""
        return Memory(self.stack, self.world)

    def up(self, within: float = 1.0) -> list[str]:
        """Bring the stack up, and return the changes."""
        self.world.done.clear()
        self.report = Recorded()
        (port,) = self.stack.services[2].ports
        assert f"http://127.0.0.1:{port.published}" == deploy.up(self.engine(), self.report, deploy.UpOptions(within))
        return list(self.world.done)

    def down(self, *, volumes: bool = False, history: bool = False) -> list[str]:
        """Take the stack down, and return the changes."""
        self.world.done.clear()
        lifecycle.down(self.engine(), self.report, volumes=volumes, history=history)
        return list(self.world.done)

    def plan(self) -> list[str]:
        """Return the steps of `up`, without executing them."""
        return [str(step) for step in deploy.plan_up(self.engine())]

    def ids(self) -> dict[str, str]:
        """Return the ids of all replicas, by name."""
        return {name: each.id for name, each in self.world.replicas.items()}

    def edit(self, name: str, **changes: object) -> None:
        """Change the declaration of a service."""
        services = (replace(one, **changes) if one.name == name else one for one in self.stack.services)  # type: ignore[arg-type]
        self.stack = replace(self.stack, services=tuple(services))

    def detached(self, *command: str) -> Run:
        """Start a detached run, and return its record."""
        request = new_request(command, choose_source(self.engine()))
        self.engine().runs.detach(request)
        return next(each for each in self.engine().runs.records() if each.id == request.id)


@pytest.fixture(autouse=True)
def ports() -> None:
    """Let ports be checked; the one of these stacks is free."""


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project that was never up."""
    web = Service(
        "web",
        "haproxy:3",
        networks=("front",),
        ports=(Port(8000, tcp.free("127.0.0.1"), "127.0.0.1"),),
        depends_on=("worker",),
    )
    stack = Stack("p", tmp_path, (REDIS, WORKER, web), NETWORKS, (Volume("data"),))
    return Project(stack)


@pytest.fixture
def serving(project: Project) -> Project:
    """Return a project that is up."""
    project.up()
    return project


def refused(call: Callable[[], object], error: type[Exception], project: Project) -> str:
    """Return the message of a refusal, and assert that nothing was changed before it."""
    project.world.done.clear()
    with pytest.raises(error) as found:
        call()
    assert [] == project.world.done
    return str(found.value)


def test_first_up_does_everything_in_its_order(project: Project) -> None:
    """Images, networks and volumes, then each service after its dependencies and its release command."""
    assert CHANGES == project.up()


def test_plan_changes_nothing(project: Project) -> None:
    """`--dry up` only prints the steps."""
    admissions = ["admit redis-1", "admit web-1"]  # which change nothing: there can be only one
    assert len(CHANGES) + len(admissions) == len(project.plan())

    assert [] == project.world.done


def test_second_up_does_nothing(serving: Project) -> None:
    """Another process finds everything that the first one created."""
    before = serving.ids()

    assert [] == serving.plan()
    assert [] == serving.up()
    assert before == serving.ids()


def test_each_step_is_told_before_what_it_has_to_tell(project: Project) -> None:
    """With its cause; the output of a build and of a release command are details."""
    project.up()

    assert ["Pull redis:8 (missing)", "Build app:one (missing)"] == project.report.steps[:2]
    assert f"R{MIGRATE[1:]} (before the first worker of its release)" == project.report.steps[-5]
    assert ["redis:8 was built", "app:one was built"] == project.report.details[:2]
    assert ["applying 0001", "applied"] == project.report.details[-2:]


def test_new_release_replaces_only_its_own(serving: Project) -> None:
    """Its image is built and its release command is run before the running release is changed."""
    before = serving.ids()
    serving.edit("worker", image="app:two")

    assert ["image app:two", MIGRATE, *ROLLED] == serving.up()
    assert {"worker-1"} == {name for name, replica in serving.ids().items() if replica != before[name]}


def test_up_of_one_service_leaves_the_others_as_they_are(serving: Project) -> None:
    """It does not wait for them, and deploys no release; its record names it."""
    serving.edit("redis", environment=(("A", "2"),))
    serving.edit("worker", image="app:def")
    serving.world.healths["worker-1"] = Health(is_ready=False, output="broken")
    before = serving.ids()
    deploy.up(serving.engine(), Recorded(), deploy.UpOptions(0.2, only=["redis"]))
    after = serving.ids()
    [record] = [record for record in history(serving.engine(), Query()) if record.what]

    assert {"redis-1"} == {name for name in before if before[name] != after[name]}
    assert ("up", "redis", "") == (record.kind, record.what, record.release)
    serving.world.healths.clear()
    deploy.up(serving.engine(), Recorded(), deploy.UpOptions(1.0, only=["worker"]))
    assert "def" in {record.release for record in history(serving.engine(), Query()) if record.what == "worker"}


def test_replicas_are_rolled_one_by_one(serving: Project) -> None:
    """There are never fewer replicas than before, and at most one more. Each has the number of the one before."""
    serving.edit("worker", replicas=3)
    serving.up()
    serving.edit("worker", replicas=3, image="app:two")

    assert [
        *("create new worker-1", "start new worker-1", "admit new worker-1", "remove worker-1"),
        *("create new worker-2", "start new worker-2", "admit new worker-2", "remove worker-2"),
        *("create new worker-3", "start new worker-3", "admit new worker-3", "remove worker-3"),
    ] == serving.up()[2:]


def test_more_replicas_are_made_without_a_release_command(serving: Project) -> None:
    """With fewer, those with the highest numbers are removed."""
    serving.edit("worker", replicas=3)
    *created, first, second = serving.up()
    assert ({"create worker-2", "create worker-3"}, {"admit worker-2", "admit worker-3"}) == (
        {*created},
        {first, second},
    )

    serving.edit("worker", replicas=1)
    assert {"remove worker-2", "remove worker-3"} == set(serving.up())


@pytest.mark.parametrize("image", ["redis:8", "app:one", "haproxy:3"])
def test_image_that_cannot_be_made_changes_nothing(project: Project, image: str) -> None:
    """No network, no volume, no replica."""
    project.world.failures[f"image {image}"] = EngineError("no space left")

    with pytest.raises(EngineError, match="no space left"):
        project.up()
    assert [] == [change for change in project.world.done if not change.startswith("image")]


def test_image_that_was_removed_is_made_again_and_replaces_nothing(serving: Project) -> None:
    """Only the new image shows that the running release is made from the same."""
    before = serving.ids()
    serving.world.images.remove("app:one")

    assert ["image app:one"] == serving.up()
    assert before == serving.ids()


def test_image_of_a_new_release_that_cannot_be_made_keeps_what_serves(serving: Project) -> None:
    """The same replicas run, and the plan still has the remaining steps."""
    before = serving.ids()
    serving.edit("worker", image="app:two")
    serving.world.failures["image app:two"] = EngineError("step 5/5 failed")

    with pytest.raises(EngineError, match="step 5/5 failed"):
        serving.up()
    assert before == serving.ids()
    assert "Build app:two (missing)" == serving.plan()[0]


def test_failing_release_command_keeps_what_serves(serving: Project) -> None:
    """The error has its last line, exit code and run; the next `up` runs it again."""
    before = serving.ids()
    serving.edit(
        "worker", image="app:two", pre_start=release_command(("sh", "-c", "echo checking; echo data is ahead; exit 3"))
    )

    with pytest.raises(ServiceError) as failed:
        serving.up()
    run = serving.engine().runs.records()[-1]
    assert ["checking"] == serving.report.details[-1:]
    rest = "release one is still running. Fix that, then repeat the command"
    assert f"data is ahead (exit code 3, run {run.id}); {rest}" == str(failed.value)
    assert (before, "failed", "two") == (serving.ids(), run.state, run.release)
    serving.edit("worker", pre_start=WORKER.pre_start)
    assert [MIGRATE, *ROLLED] == serving.up()


def test_release_command_that_says_nothing_is_told_so(project: Project) -> None:
    """It printed nothing; its dependencies exist already, its service has no replica."""
    project.edit("worker", pre_start=release_command(("false",)))

    with pytest.raises(
        ServiceError,
        match=r"^the release command printed nothing \(exit code 1, run [0-9a-f]{8}\); no worker is running\.",
    ):
        project.up()
    assert ["redis-1"] == list(project.ids())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EngineError("the daemon is away")], ids=["Ctrl-C", "error"])
@pytest.mark.parametrize("change", CHANGES)
def test_up_that_was_ended_anywhere_is_finished_by_the_next(
    project: Project, change: str, error: BaseException
) -> None:
    """The lock is free, all that exists is kept, the rest is created; a worker comes after its release command."""
    project.world.failures[change] = error
    with pytest.raises(type(error)):
        project.up()
    done, kept = list(project.world.done), project.ids()
    project.world.failures.clear()

    rest = CHANGES[CHANGES.index(change) :]
    assert CHANGES[: CHANGES.index(change)] == done
    assert ([MIGRATE] if change.endswith("worker-1") else []) + rest == project.up()
    assert kept.items() <= project.ids().items()
    assert [] == project.plan()


@pytest.mark.parametrize(
    ("change", "rest"),
    [
        ("create new worker-1", [MIGRATE, *ROLLED]),
        ("start new worker-1", [MIGRATE, "remove new worker-1", *ROLLED]),
        ("admit new worker-1", [MIGRATE, "admit new worker-1", "remove worker-1"]),
        ("remove worker-1", ["remove worker-1"]),
    ],
)
def test_deploy_that_was_ended_half_way_is_finished_by_the_next(serving: Project, change: str, rest: list[str]) -> None:
    """The previous release runs until then; the release command runs again if no replica of the new one is running."""
    before = serving.ids()
    serving.edit("worker", image="app:two")
    serving.world.failures[change] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        serving.up()
    assert before["worker-1"] in [each.id for each in serving.engine().replicas("worker") if each.serves]
    serving.world.failures.clear()

    assert rest == serving.up()
    assert ["two"] == [each.release for each in serving.engine().replicas("worker")]


def test_replica_that_was_never_admitted_and_is_not_wanted_any_more_goes(serving: Project) -> None:
    """The operator restored the previous files."""
    serving.edit("worker", image="app:two")
    serving.world.failures["admit new worker-1"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        serving.up()
    serving.edit("worker", image="app:one")

    assert ["Remove worker-1 (its deploy was interrupted)"] == serving.plan()


def test_deploy_that_was_not_finished_is_told_by_status(serving: Project) -> None:
    """All replicas serve, of two releases: runs are refused, and both messages name the command to type."""
    serving.edit("worker", image="app:two")
    serving.world.failures["remove worker-1"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        serving.up()
    found = status.status(serving.engine())

    assert (False, "worker runs releases one and two. To finish the deploy: invoke up") == (found.ready, found.why)
    with pytest.raises(IdentityError, match=r"Name one with --release, or try: invoke up$"):
        choose_source(serving.engine())
    serving.world.failures.clear()
    serving.up()
    assert status.status(serving.engine()).ready


def test_old_one_that_is_put_back_is_told(serving: Project) -> None:
    """There can be only one replica, and the new one does not get ready."""
    serving.edit("redis", command=("redis-server", "--broken"))
    serving.world.healths["new redis-1"] = Health(is_ready=False, output="bad option")

    with pytest.raises(EngineError) as failed:
        serving.up(within=0.1)
    said = "redis-1 is not ready after 0.1 s (bad option); redis-1 is restored. Fix that, then repeat the command"
    assert said == str(failed.value)


def test_replica_that_takes_its_time_to_end_is_told(serving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` and `down` report what they wait for, unless the replica stops soon."""
    monkeypatch.setattr(replicas, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(Memory, "remove_replica", slowly(Memory.remove_replica))
    lifecycle.down(serving.engine(), serving.report)

    assert "wait until worker-1 has stopped, at most 1 s" in serving.report.details


def slowly(body: Callable[..., None]) -> Callable[..., None]:
    """Return the function with a delay of 0.1 s."""

    def slow(*arguments: object) -> None:
        time.sleep(0.1)
        body(*arguments)

    return slow


def test_release_that_does_not_get_ready_is_removed_and_what_served_serves_on(serving: Project) -> None:
    """Its last lines are shown, and it never got a request."""
    before = serving.ids()
    serving.edit("worker", image="app:two", command=("sh", "-c", "echo starting; echo waiting for the moon"))
    serving.world.healths["new worker-1"] = Health(is_ready=False, output="no moon")

    with pytest.raises(EngineError) as failed:
        serving.up(within=0.1)
    assert (
        "worker-1 is not ready after 0.1 s (no moon); release one is still running. Fix that, then repeat the command"
        == str(failed.value)
    )
    assert ["starting", "waiting for the moon"] == serving.report.details[-2:]
    assert before == serving.ids()
    assert "admit new worker-1" not in serving.world.done


def test_release_that_ends_at_once_is_told_at_once(serving: Project) -> None:
    """Not only after the minute that it has to get ready."""
    before = serving.ids()
    serving.edit("worker", image="app:two")
    serving.world.dying["worker"] = "no module named moon"

    with pytest.raises(
        EngineError, match=r"^worker-1 exited \(1\): no module named moon; release one is still running"
    ):
        serving.up(within=60)
    assert before == serving.ids()


def test_replica_that_has_to_be_started_again_is_as_good_as_dead(serving: Project) -> None:
    """Restarts by the engine must not hide that it never gets ready."""
    serving.edit("worker", image="app:two")
    serving.world.healths["new worker-1"] = Health(is_ready=False, output="")

    class Restarting(Memory):
        def replicas(self, service: str) -> tuple[Replica, ...]:
            return tuple(replace(each, restarts=next(self.world.ids)) for each in super().replicas(service))

    with pytest.raises(EngineError, match=r"worker-1 crashed and was restarted \(\d+ times\)"):
        deploy.up(Restarting(serving.stack, serving.world), Recorded(), deploy.UpOptions(60))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EngineError("no such address")])
def test_only_replica_keeps_running_if_the_new_one_cannot_be_created(serving: Project, error: BaseException) -> None:
    """It is not stopped before the new one was created."""
    before = serving.ids()
    serving.edit("web", environment=(("A", "1"),))
    serving.world.failures["create new web-1"] = error
    with pytest.raises(type(error)):
        serving.up()

    assert TRIED == serving.world.done
    assert before == serving.ids()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EngineError("no such address")])
def test_only_replica_is_put_back_if_the_new_one_cannot_be_started(serving: Project, error: BaseException) -> None:
    """Only one of the two can have the ingress's port."""
    before = serving.ids()
    serving.edit("web", environment=(("A", "1"),))
    serving.world.failures["start new web-1"] = error
    with pytest.raises(type(error)):
        serving.up()

    assert [*TRIED, "create new web-1", "stop web-1", "remove new web-1", "start web-1"] == serving.world.done
    assert before == serving.ids()
    assert all(each.serves for each in serving.engine().observe().replicas)


def test_only_replica_is_put_back_where_the_new_one_does_not_get_ready(serving: Project) -> None:
    """The new one is removed first, since it has the port."""
    serving.edit("web", environment=(("A", "1"),))
    serving.world.healths["new web-1"] = Health(is_ready=False, output="address in use")
    with pytest.raises(EngineError, match="web-1 is not ready"):
        serving.up(within=0.1)

    restored = ["stop new web-1", "remove new web-1", "start web-1"]
    changes = [*TRIED, "create new web-1", "stop web-1", "start new web-1", *restored]
    assert changes == serving.world.done


def test_only_replica_is_put_back_where_its_stop_is_interrupted(serving: Project) -> None:
    """The engine finishes the stop, even if the client is interrupted."""
    serving.edit("web", environment=(("A", "1"),))

    class Interrupted(Memory):
        def retire_replica(self, replica: Replica) -> None:
            super().retire_replica(replica)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy.up(Interrupted(serving.stack, serving.world), Recorded())
    assert ["web-1"] == [each.name for each in serving.engine().replicas("web") if each.serves]


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Make Ctrl-C interrupt as in a terminal; the process that runs the tests may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_second_ctrl_c_does_not_interrupt_the_putting_back(serving: Project) -> None:
    """An operator who sees no progress presses it again, and sees what is being done."""
    serving.edit("web", environment=(("A", "1"),))

    class Interrupted(Memory):
        def retire_replica(self, replica: Replica) -> None:
            super().retire_replica(replica)
            raise KeyboardInterrupt

        def start_replica(self, replica: Replica) -> None:
            signal.raise_signal(signal.SIGINT)
            super().start_replica(replica)

    report = Recorded()
    with pytest.raises(KeyboardInterrupt):
        deploy.up(Interrupted(serving.stack, serving.world), report)
    assert ["web-1"] == [each.name for each in serving.engine().replicas("web") if each.serves]
    assert ["web-1 is restored; please wait"] * 2 == report.details[-2:]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_two_at_once_are_one(project: Project) -> None:
    """The second `down`, or `up` that has something to do, fails with the name of the first, which finishes."""
    said: list[str] = []
    plans: list[list[str]] = []

    class Meanwhile(Recorded):
        def step(self, line: str) -> None:
            super().step(line)
            plans.append(project.plan())
            if plans[-1]:
                said.append(refused(lambda: deploy.up(project.engine(), Recorded()), BusyError, project))
            said.append(refused(lambda: lifecycle.down(project.engine(), Recorded()), BusyError, project))

    deploy.up(project.engine(), Meanwhile())

    steps = len(CHANGES) + len(("admit redis-1", "admit web-1"))
    assert (steps, 1) == (len(plans), plans.count([]))  # web-1 exists, and is only waited for
    assert 2 * steps - 1 == len(said)
    assert all(
        re.match(r"the stack is locked by \S+ on \S+ \(deploying since \S+\)\. Try again", line) for line in said
    )
    assert [] == project.plan()


@pytest.mark.parametrize("said_by", ["variable", "default", "file"])
def test_taken_port_is_refused_before_anything_is_made(
    project: Project, taken: int, said_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error suggests a free port, by the variable of the Compose file if it has one."""
    (port,) = project.stack.services[2].ports
    project.edit("web", ports=(replace(port, published=taken),))
    written = {"variable": "${A_PORT:-1}", "default": f"${{OTHER}}:${{A_PORT:-{taken}}}", "file": f"{taken}"}[said_by]
    file = project.stack.directory / "compose.yaml"
    file.write_text(f"ports: ['{written}:80']", "utf-8")
    project.stack = replace(project.stack, files=(file,))
    if said_by == "variable":
        monkeypatch.setenv("A_PORT", str(taken))
    said = refused(project.up, MisuseError, project)

    in_file = "publish another port in the Compose file, then: invoke up"
    hint = in_file if said_by == "file" else r"use another port: A_PORT=\d+ invoke up"
    assert re.search(
        rf"port {taken} is not free \(address already in use\). Stop the program that uses it, or {hint}", said
    )


@pytest.mark.parametrize(
    ("why", "free", "hint"),
    [
        ("permission denied", True, "Use another port: A_PORT=81 invoke up"),
        (
            "cannot assign requested address",
            False,
            "Publish the port on an address of this machine instead of 127.0.0.1",
        ),
    ],
)
def test_port_that_no_program_uses_is_refused_without_a_program_to_stop(
    project: Project, monkeypatch: pytest.MonkeyPatch, why: str, hint: str, *, free: bool
) -> None:
    """It is below 1024, or at an address that this machine does not have."""
    (port,) = project.stack.services[2].ports
    project.edit("web", ports=(replace(port, published=80),))
    file = project.stack.directory / "compose.yaml"
    file.write_text("ports: ['${A_PORT:-80}:80']", "utf-8")
    project.stack = replace(project.stack, files=(file,))
    monkeypatch.setattr(tcp, "why_taken", lambda _, port: "" if free and port > 80 else why)

    assert refused(project.up, MisuseError, project).startswith(f"cannot publish port 80: {why}. {hint}")


def test_port_that_could_be_had_instead_is_free(project: Project, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next port may be taken, too."""
    (port,) = project.stack.services[2].ports
    project.edit("web", ports=(replace(port, published=taken),))
    file = project.stack.directory / "compose.yaml"
    file.write_text("ports: ['${A_PORT}:80']", "utf-8")
    project.stack = replace(project.stack, files=(file,))
    monkeypatch.setenv("A_PORT", str(taken))
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # it may be taken already
            other.bind(("127.0.0.1", taken + 1))
            other.listen()
        said = refused(project.up, MisuseError, project)
        hint = re.search(r"use another port: A_PORT=(\d+) invoke up", said)

        assert hint
        assert int(hint[1]) > taken + 1
        assert "" == tcp.why_taken("127.0.0.1", int(hint[1]))


def test_own_port_is_not_taken(serving: Project) -> None:
    """The proxy that is replaced has it, and releases it."""
    (port,) = serving.stack.services[2].ports
    with socket.create_server((port.host, port.published)):
        serving.edit("web", environment=(("A", "1"),))

        assert [*TRIED, "create new web-1", "stop web-1", "start new web-1", "remove web-1"] == serving.up()


@pytest.fixture
def configured(project: Project) -> Project:
    """Return a project that is up; then a configuration file of its proxy was changed."""
    file = project.stack.directory / "door.cfg"
    file.write_text("one", "utf-8")
    mount = Mount("config", "/etc/door.cfg", str(file), read_only=True)
    project.edit("web", mounts=(mount,), reload=Reload("SIGHUP", ("door", "--check")))
    project.up()
    file.write_text("two", "utf-8")
    return project


def test_changed_configuration_is_loaded_once_and_the_door_stays(configured: Project) -> None:
    """By the same replica, after its dependencies; another `up` has nothing to do."""
    before = configured.ids()
    configured.edit("worker", environment=(("A", "1"),))
    rolled = [MIGRATE, *ROLLED]

    assert [*rolled, "reload web-1"] == configured.up()
    assert before["web-1"] == configured.ids()["web-1"]
    assert [] == configured.plan()


def test_configuration_that_is_refused_stops_everything(configured: Project) -> None:
    """Before the deploy changes anything; once the file is correct, the next `up` continues."""
    configured.world.refusals["web"] = "unknown keyword"
    configured.edit("worker", environment=(("A", "1"),))

    assert "(unknown keyword)" in refused(configured.up, EngineError, configured)
    configured.world.refusals.clear()
    assert "reload web-1" in configured.up()


def test_reload_that_was_ended_is_done_by_the_next(configured: Project) -> None:
    """A file that was not loaded does not count as loaded."""
    configured.world.failures["reload web-1"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        configured.up()
    configured.world.failures.clear()

    assert ["reload web-1"] == configured.up()


def test_reloaded_replica_that_is_not_ready_is_told(configured: Project) -> None:
    """It was not ready before, so the new configuration may be the fix and is kept."""
    configured.world.healths["web-1"] = Health(is_ready=False, output="no backend")

    with pytest.raises(EngineError, match=r"web-1 is not ready after 0.1 s \(no backend\); it keeps its new config"):
        configured.up(within=0.1)
    assert [] == [step for step in configured.plan() if step.startswith("Reload")]


def test_configuration_that_makes_a_replica_unready_is_taken_back(configured: Project) -> None:
    """It is valid but wrong: the previous one is loaded again, and `up` fails each time."""

    class Checking(Memory):
        def check_health(self, replica: Replica, within: float | None = None) -> Health:
            is_wrong = replica.service == "web" and "two" in self.world.replicas["web-1"].recipe.values()
            found = super().check_health(replica, within)
            return Health(is_ready=False, output="no backend") if is_wrong else found

    for _ in range(2):
        with pytest.raises(EngineError) as failed:
            deploy.up(Checking(configured.stack, configured.world), Recorded(), deploy.UpOptions(0.1))
        said = "web-1 is not ready after 0.1 s (no backend); its previous configuration is restored. "
        assert f"{said}Fix that, then repeat the command" == str(failed.value)
        assert status.status(Checking(configured.stack, configured.world)).ready


def test_another_port_that_is_taken_keeps_the_door(serving: Project, taken: int) -> None:
    """It is checked before anything is stopped."""
    (port,) = serving.stack.services[2].ports
    serving.edit("web", ports=(replace(port, published=taken),))

    assert f"port {taken} is not free" in refused(serving.up, MisuseError, serving)


def test_run_goes_on_while_its_release_is_replaced(serving: Project) -> None:
    """It keeps its release; only `down` stops it."""
    run = serving.detached("sleep", "60")
    serving.edit("worker", image="app:two")

    assert "remove worker-1" in serving.up()
    assert [run] == [each for each in serving.engine().runs.records() if each.is_running]


def test_network_that_changes_is_made_again_with_all_that_is_on_it(serving: Project) -> None:
    """Dependents are created after their dependencies; a run on it must have exited."""
    serving.stack = replace(serving.stack, networks=(Network("front"), Network("back")))
    run = serving.detached("sleep", "60")
    assert run.id in refused(serving.up, BusyError, serving)
    serving.engine().runs.stop(run.id, lambda _: None)

    removed = ["remove redis-1", "remove worker-1", "remove back"]
    assert [*removed, "create back", "create redis-1", "create worker-1", "admit worker-1"] == serving.up()


def test_service_that_exited_is_started(serving: Project) -> None:
    """With its state as the cause."""
    serving.world.end_replica("redis-1", "out of memory", 137)

    assert ["Start redis-1 (exited (137))"] == serving.plan()
    assert ["start redis-1"] == serving.up()


def test_down_ends_runs_then_dependants_then_the_rest_and_keeps_the_data(serving: Project) -> None:
    """The proxy is removed first; the record of runs stays."""
    run = serving.detached("sleep", "60")
    assert ["remove web-1", "remove worker-1", "remove redis-1", "remove front", "remove back"] == serving.down()

    assert "stopped" == next(each.state for each in serving.engine().runs.records() if each.id == run.id)
    assert [Volume("data")] == serving.world.resources
    assert f"run {run.id} has 1 s to exit after TERM; then it is killed" in serving.report.details


def test_down_takes_data_and_record_where_they_are_named(serving: Project) -> None:
    """Only the images stay; a second `down` has nothing to do."""
    assert "remove data" in serving.down(volumes=True, history=True)

    assert ([], (), {}) == (serving.world.resources, serving.engine().runs.records(), serving.world.replicas)
    assert not lifecycle.down(serving.engine(), Recorded(), volumes=True, history=True)


def test_down_that_was_ended_anywhere_is_finished_by_the_next(serving: Project) -> None:
    """It does not ask the engine for what was removed."""
    serving.world.failures["remove redis-1"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        serving.down()
    serving.world.failures.clear()

    assert ["remove redis-1", "remove front", "remove back"] == serving.down()


def test_where_the_data_is_is_known_as_long_as_it_is_there(serving: Project) -> None:
    """`up` leaves the engine in `.twelfth/`; a `down` that keeps the data keeps that."""
    serving.down()
    after_down = recall(serving.stack.directory)
    serving.down(volumes=True)

    assert (["memory"], ()) == ([each.engine for each in after_down], recall(serving.stack.directory))


def test_where_a_stack_is_is_forgotten_by_its_own_down_alone(serving: Project) -> None:
    """Not by that of another project in the directory, nor by one on an engine that has nothing of it."""
    other = replace(serving.stack, project="other")
    elsewhere = Memory(other, World())
    elsewhere.name = "elsewhere"
    remember(elsewhere)
    serving.down()
    lifecycle.down(Memory(other, World()), serving.report, volumes=True)

    known = {each.project: each.engine for each in recall(serving.stack.directory)}
    assert {serving.stack.project: "memory", "other": "elsewhere"} == known


def test_data_outlives_the_stack(serving: Project) -> None:
    """The next `up` creates all but the images and the volume; the release command runs before the replicas."""
    serving.down()

    assert [each for each in CHANGES if not each.startswith("image") and each != "create data"] == serving.up()


def test_build_makes_what_is_built_once_and_names_the_release(project: Project) -> None:
    """Nothing is pulled, and nothing is started."""
    assert ("one", "one") == tuple(lifecycle.build(project.engine(), project.report) for _ in range(2))

    assert ["image app:one"] == project.world.done


def test_build_of_several_images_names_their_release_once(project: Project) -> None:
    """So that `RELEASE=$(./inv build | tail -n 1)` is a name, whatever the number of images."""
    project.edit("web", image="web:one", build=Build(Path()))

    assert "one" == lifecycle.build(project.engine(), project.report)
    assert ["image app:one", "image web:one"] == project.world.done


def test_nothing_up_is_said_so(project: Project) -> None:
    """A command that needs the stack names `invoke up`."""
    with pytest.raises(NotUpError, match="invoke up"):
        choose_source(project.engine())


def test_scale_of_what_is_up_is_a_plan_of_its_own(serving: Project) -> None:
    """With `--scale`, only the number differs from the declared service."""
    serving.edit("worker", replicas=load.scaled_service(serving.stack, "worker=2").replicas)

    assert ["Create worker-2 (missing)", "Wait for worker-2 (until it is ready)"] == serving.plan()


def test_first_replica_that_never_gets_ready_is_told_in_the_words_of_its_healthcheck(project: Project) -> None:
    """After its time limit; none was running before, so none is running."""
    project.world.healths["worker-1"] = Health(is_ready=False, output='{"error": "no key"}')

    with pytest.raises(EngineError) as never:
        project.up(within=0.1)
    said = "worker-1 is not ready after 0.1 s (no key); no worker is running. Fix that, then repeat the command"
    assert said == str(never.value)


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (Health(is_ready=True, output='{"error": "the data lacks revision 0002"}'), "the data lacks revision 0002"),
        (Health(is_ready=False, output="no such table"), "no such table"),
        (Health(is_ready=False, command="curl -f localhost"), "its healthcheck fails: curl -f localhost"),
    ],
)
def test_release_command_runs_again_where_what_serves_cannot_serve(serving: Project, health: Health, why: str) -> None:
    """As after a restore of older data: the healthcheck passes and prints an error, or fails with or without output."""
    serving.world.healths["worker-1"] = health

    assert [f"the running release is not ready: {why})"] == [step.partition(" (")[2] for step in serving.plan()]
    serving.world.healths["worker-1"] = Health(is_ready=True)
    assert [] == serving.up()


def test_release_command_that_does_not_cure_what_serves_is_reported(serving: Project) -> None:
    """The steps succeed, but the stack cannot serve, as `status` shows."""
    serving.world.healths["worker-1"] = Health(is_ready=True, output='{"error": "the data lacks revision 0002"}')

    with pytest.raises(
        EngineError, match=r"^worker-1 is not ready after 0.1 s \(the data lacks revision 0002\). Try: "
    ):
        serving.up(within=0.1)
    assert [MIGRATE] == serving.world.done
    assert not status.status(serving.engine()).ready


class Guarded(Memory):
    """An engine on which workers serve only with the password of Redis, and the proxy only with a worker."""

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Return the reason why a worker cannot serve, also if its process is healthy."""
        wanted, own = (self._password(each) for each in ("redis", "worker"))
        if wanted == own or replica.service == "redis":
            return super().check_health(replica, within)
        if replica.service == "web":
            return Health(is_ready=False, output="no worker")
        return Health(is_ready=True, output='{"error": "NOAUTH"}')

    def _password(self, service: str) -> str:
        serving = [each for each in super().replicas(service) if each.is_running]
        return max(serving, key=lambda each: each.number).recipe.get("environment.PASSWORD", "") if serving else ""


@pytest.fixture
def guarded(serving: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project that is up on such an engine."""
    monkeypatch.setattr(Project, "engine", lambda self: Guarded(self.stack, self.world))
    return serving


def test_change_that_breaks_what_depends_on_it_is_reported(guarded: Project) -> None:
    """It can be undone: Redis is changed before the release command, which needs it."""
    guarded.edit("redis", environment=(("PASSWORD", "secret"),))
    with pytest.raises(EngineError) as failed:
        guarded.up(within=0.1)
    why = {
        "worker-1 is not ready after 0.1 s (NOAUTH); it depends on redis, which changed. Try: invoke logs worker. ",
        "web-1 is not ready after 0.1 s (no worker); it depends on redis, which changed. Try: invoke logs web. ",
    }
    assert str(failed.value).removesuffix("Fix that, then repeat the command") in why

    guarded.edit("redis", environment=())
    done = guarded.up()
    assert done.index("start new redis-1") < done.index(MIGRATE)
    assert status.status(guarded.engine()).ready


def test_both_sides_are_changed_at_once(guarded: Project) -> None:
    """The password, and the services that use it."""
    for name in ("redis", "worker"):
        guarded.edit(name, environment=(("PASSWORD", "secret"),))
    done = guarded.up()

    assert done.index("start new redis-1") < done.index(MIGRATE) < done.index("create new worker-1")
    assert status.status(guarded.engine()).ready


def test_release_command_that_fails_after_a_change_says_what_changed(guarded: Project) -> None:
    """The error does not claim that nothing was changed."""
    guarded.edit("redis", environment=(("PASSWORD", "secret"),))
    guarded.edit("worker", environment=(("PASSWORD", "secret"),), pre_start=release_command(("false",)))

    with pytest.raises(
        ServiceError,
        match=r"^the release command printed nothing \(exit code 1, run \w+\); redis changed before it ran. Fix ",
    ):
        guarded.up()


def test_git_ignores_the_cache_next_to_the_compose_file(project: Project) -> None:
    """A project needs no line in its own `.gitignore`."""
    deploy.up(project.engine(), project.report)

    assert "*\n" == (project.stack.directory / ".twelfth" / ".gitignore").read_text("utf-8")


def test_release_command_waits_for_what_it_depends_on(serving: Project) -> None:
    """It runs already, and is not ready; the command of the new release is not run until it is."""
    serving.world.healths["redis-1"] = Health(is_ready=False, output="loading")
    serving.edit("worker", image="app:two")
    thread = threading.Thread(target=serving.up, args=(20.0,))
    thread.start()

    assert eventually(lambda: any(step.startswith("Run ") for step in serving.report.steps))
    assert MIGRATE not in serving.world.done
    serving.world.healths["redis-1"] = Health(is_ready=True)
    thread.join()
    assert ["image app:two", MIGRATE, *ROLLED] == serving.world.done


def test_release_command_is_not_run_where_what_it_depends_on_never_gets_ready(serving: Project) -> None:
    """The error has the output of the healthcheck of the dependency."""
    serving.world.healths["redis-1"] = Health(is_ready=False, output="loading")
    serving.edit("worker", image="app:two")

    with pytest.raises(EngineError, match=r"^redis-1 is not ready after 0.1 s \(loading\); .* repeat the command$"):
        serving.up(within=0.1)
    assert ["image app:two"] == serving.world.done


def test_error_of_a_release_command_is_told_and_not_what_comes_after_it(serving: Project) -> None:
    """As with a library whose last line is a link; the report has all lines."""
    serving.edit(
        "worker",
        image="app:two",
        pre_start=release_command(("sh", "-c", "echo DbError: away; echo see the docs; exit 1")),
    )

    with pytest.raises(ServiceError, match=r"^DbError: away \(exit code 1, run "):
        serving.up()
    assert ["DbError: away", "see the docs"] == serving.report.details[-2:]
