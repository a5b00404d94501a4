"""The contract of engines: the same tests run against each engine, and the one in memory, with a generic project."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import signal
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.conftest import EVERY, WITH_MODERN, Recorded, engine_at_hand, eventually, require
from tests.memory_engine import Memory, World
from twelfth.engines import choice, tcp
from twelfth.engines.contract import STDERR, STDOUT
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.engines.local.engine import Local
from twelfth.engines.swarm.engine import Swarm
from twelfth.errors import EngineError, IdentityError, MisuseError, NotUpError
from twelfth.model.hook import Hook
from twelfth.model.job import Changes
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Mount, Reload, Service, as_options
from twelfth.model.snapshot import differences
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source, from_release
from twelfth.runs.start import follow_with_report
from twelfth.stack import deploy, lifecycle, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twelfth.engines.contract import ReplicaEngine
    from twelfth.model.run import Run, RunRequest
    from twelfth.model.snapshot import Replica, Snapshot
    from twelfth.model.stack import Network, Stack, Volume

pytestmark = pytest.mark.every_engine

COMPOSE = """
services:
  app:
    image: ${COMPOSE_PROJECT_NAME}:${RELEASE:-compose}
    build: {context: ., args: {BASE: "${PYTHON_IMAGE:-python:3.13-slim}"}}
    command: &command [sh, -c, "echo one; echo two; exec sleep 600"]
    init: true
    environment: {LEVEL: info, COLOUR: red}
    networks: [inside]
    volumes: ["data:/data"]
    stop_grace_period: 1s
    x-local: {command: *command}
networks:
  inside: {internal: true}
volumes:
  data: {}
"""
DOCKERFILE = """
ARG BASE
FROM ${BASE}
COPY greeting /greeting
COPY words /words
"""

detaching = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
"""A client that detaches usually exits at once, which closes its connections; in tests it keeps running."""


def resources(owner: Stack | Snapshot) -> list[Network | Volume]:
    """Return the declared or existing networks and volumes."""
    return [*owner.networks, *owner.volumes]


@dataclass
class Site:
    """The project on one engine; each `engine()` is new, like that of another process."""

    stack: Stack
    engine_name: str
    world: World = field(default_factory=World)

    def engine(self) -> ReplicaEngine:
        """Return a new engine."""
        if self.engine_name == "memory":
            return Memory(self.stack, self.world)
        return cast("ReplicaEngine", choice.choose(self.engine_name, self.stack))

    def create(self) -> None:
        """Create everything, like `up` without the release command and the wait."""
        engine, service = self.engine(), self.app
        engine.ensure_image(service, lambda _: None)
        for resource in resources(engine.stack):
            engine.create_resource(resource)
        self.create_replica()

    def create_replica(self) -> None:
        """Create the service's replica, or the service on an engine that rolls out services."""
        engine = self.engine()
        if isinstance(engine, Swarm):
            engine.roll_service(self.app, 30, lambda _: None)
        else:
            engine.create_replica(self.app, 1)

    def remove_replica(self, replica: Replica) -> None:
        """Remove the service's replica, or the service on an engine that rolls out services."""
        engine = self.engine()
        if isinstance(engine, Swarm):
            engine.remove_service(replica.service)
        else:
            engine.remove_replica(replica)

    def end(self, replica: Replica) -> None:
        """Kill a replica's process as if it had crashed."""
        engine = self.engine()
        match engine:
            case Swarm():
                task = engine.api.inspect_task(replica.id)
                engine.api.kill(task["Status"]["ContainerStatus"]["ContainerID"])
            case DaemonEngine():
                # A kill through the API would count as a stop, and the daemon may be in another process namespace.
                engine.api.exec_start(engine.api.exec_create(replica.id, ["sh", "-c", "kill -KILL -1"])["Id"])
            case Local():
                processes = engine.supervisor._call("getAllProcessInfo")  # noqa: SLF001 - it has no other use
                os.kill(
                    next(process["pid"] for process in processes if process["name"] == replica.name), signal.SIGKILL
                )
            case _:
                self.world.change("crash", replica.name, restarts=replica.restarts + 1)

    def remove(self) -> None:
        """Remove everything, including the image."""
        engine = self.engine()
        lifecycle.down(engine, Recorded(), volumes=True, history=True)
        if isinstance(engine, DaemonEngine):
            prefix = f"{self.stack.project}:"
            tags = [tag for image in engine.api.images() for tag in image["RepoTags"] or []]
            for tag in filter(lambda tag: tag.startswith(prefix), tags):  # other sites have other tags of the image
                engine.api.remove_image(tag)

    @property
    def app(self) -> Service:
        """Return the service."""
        (service,) = self.stack.services
        return service

    def replica(self) -> Replica:
        """Return the running replica."""
        return choose_source(self.engine())

    def request(self, *command: str, **options: Any) -> RunRequest:
        """Return a request for a run, by default without input."""
        return new_request(command, self.replica(), **{"interactive": False} | options)

    def record(self, request: RunRequest) -> Run:
        """Return the record of a run."""
        (record,) = [record for record in self.engine().runs.records() if record.id == request.id]
        return record


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Return the declared project; reading it once saves time."""
    directory = tmp_path_factory.mktemp("context")
    (directory / "docker-compose.yml").write_text(COMPOSE)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "greeting").write_text("hello\n")
    (directory / "words").mkdir()
    (directory / "words" / "one").write_text("one\n")
    return load.of_current_release(load.load_stack(directory, os.environ | {"COMPOSE_PROJECT_NAME": "declared"}))


def make_site(engine_name: str, declared: Stack, directory: Path) -> Site:
    """Return the project with a new name, of which nothing exists yet; skip the test if the engine is absent."""
    if engine_name != "memory":
        require(engine_name)
    (app,) = declared.services
    project = f"t{secrets.token_hex(4)}"
    named = replace(app, image=app.image.replace("declared", project))
    return Site(replace(declared, project=project, directory=directory, services=(named,)), engine_name)


@pytest.fixture(scope="module", params=["memory", *EVERY])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return each engine's name in turn."""
    with engine_at_hand(request) as name:
        yield name


@pytest.fixture(params=["memory", *WITH_MODERN])
def placing(request: pytest.FixtureRequest, declared: Stack, tmp_path: Path) -> Iterator[Site]:
    """Return the project, of which nothing exists yet, on each `ReplicaEngine`.

    A Swarm creates replicas by itself: docs/scaling.md.
    """
    with engine_at_hand(request) as name:
        site = make_site(name, declared, tmp_path)
        yield site
        site.remove()


@pytest.fixture
def empty(name: str, declared: Stack, tmp_path: Path) -> Iterator[Site]:
    """Return the project, of which nothing exists yet."""
    site = make_site(name, declared, tmp_path)
    yield site
    site.remove()


@pytest.fixture(scope="module")
def site(name: str, declared: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return the running project, for tests that do not change it."""
    site = make_site(name, declared, tmp_path_factory.mktemp("site"))
    try:
        site.create()
        yield site
    finally:
        site.remove()


def ended(site: Site, request: RunRequest) -> tuple[int, bytes, bytes]:
    """Execute a run; return its exit code and its two outputs."""
    session = site.engine().runs.start(request)
    session.close_stdin()
    streams = {STDOUT: b"", STDERR: b""}
    for stream, data in session.output():
        streams[stream] += data
    return session.wait(), streams[STDOUT], streams[STDERR]


def recorded(site: Site, request: RunRequest, *, follow: bool = False) -> dict[int, bytes]:
    """Return the recorded output of a run, by stream."""
    streams = {STDOUT: b"", STDERR: b""}
    for stream, data in site.engine().runs.output(request.id, follow=follow):
        streams[stream] += data
    return streams


def test_nothing_exists_at_first_on_an_available_engine(empty: Site) -> None:
    """Observing creates nothing."""
    snapshot = empty.engine().observe()

    assert "" == empty.engine().why_unavailable()
    assert ((), (), (), frozenset()) == (snapshot.replicas, snapshot.networks, snapshot.volumes, snapshot.images)
    assert () == empty.engine().runs.records()


def test_created_things_are_observed_until_they_are_removed(empty: Site) -> None:
    """Another engine observes them at once; removing a missing thing is no error."""
    empty.create()
    engine, snapshot = empty.engine(), empty.engine().observe()
    (replica,) = snapshot.replicas

    assert ("app", 1, "app-1", True) == (replica.service, replica.number, replica.name, replica.is_running)
    assert (engine.stack.networks, engine.stack.volumes) == (snapshot.networks, snapshot.volumes)
    for _ in range(2):
        empty.remove_replica(replica)
        for resource in resources(snapshot):
            engine.remove_resource(resource)
    rest = empty.engine().observe()
    assert ((), (), ()) == (rest.replicas, rest.networks, rest.volumes)
    assert snapshot.images == rest.images


def test_renamed_resources_are_removed_by_their_old_names(empty: Site) -> None:
    """Those with the declared names do not exist."""
    empty.create()
    before = empty.engine().observe()
    new = f"{empty.stack.project}-new-"
    networks = tuple(replace(network, known_as=new + network.name) for network in empty.stack.networks)
    volumes = tuple(replace(volume, known_as=new + volume.name) for volume in empty.stack.volumes)
    empty.stack = replace(empty.stack, networks=networks, volumes=volumes)
    engine, snapshot = empty.engine(), empty.engine().observe()
    assert (before.networks, before.volumes) == (snapshot.networks, snapshot.volumes)

    for replica in snapshot.replicas:
        empty.remove_replica(replica)
    for resource in (*engine.stack.resources, *resources(snapshot)):
        engine.remove_resource(resource)
    rest = empty.engine().observe()
    assert ((), ()) == (rest.networks, rest.volumes)


def test_image_exists_after_it_was_built(empty: Site) -> None:
    """The progress is reported; a second build is no error."""
    for _ in range(2):
        progress: list[str] = []
        empty.engine().ensure_image(empty.app, progress.append)

        assert progress
        assert frozenset({empty.app.image}) == empty.engine().observe().images


def test_replica_of_a_missing_image_never_runs(empty: Site) -> None:
    """It is refused, or exits."""
    with contextlib.suppress(EngineError):
        empty.create_replica()

    assert eventually(lambda: not [replica for replica in empty.engine().replicas("app") if replica.is_running])


def test_second_replica_runs_next_to_the_first(placing: Site) -> None:
    """They have different numbers, and are removed separately."""
    placing.create()
    placing.engine().create_replica(placing.app, 2)
    first, second = placing.engine().observe().replicas_of("app")
    assert [("app-1", True), ("app-2", True)] == [(replica.name, replica.is_running) for replica in (first, second)]
    assert differences(first.recipe, second.recipe) == ()

    placing.engine().remove_replica(first)
    assert ["app-2"] == [replica.name for replica in placing.engine().replicas("app")]


def test_replica_serves_after_its_admission(placing: Site) -> None:
    """Before, dependent services cannot reach it, and no run is made from it; a second admission changes nothing."""
    public = replace(placing.app.local or LocalSettings(()), port=tcp.free("127.0.0.1"))
    app = replace(placing.app, mounts=(), local=public)
    dependant = Service("ingress", "none", networks=app.networks, depends_on=("app",))
    placing.stack = replace(placing.stack, services=(app, dependant))
    engine = placing.engine()
    engine.ensure_image(app, lambda _: None)
    for resource in resources(engine.stack):
        engine.create_resource(resource)
    replica = engine.create_replica(app, 1)
    assert (True, False, False) == (replica.is_running, replica.is_admitted, replica.serves)
    assert () == differences(engine.recipe(app) or {}, replica.recipe)
    with pytest.raises(NotUpError):
        choose_source(engine)

    for _ in range(2):
        engine.admit_replica(replica)
        assert [True] == [replica_.serves for replica_ in placing.engine().replicas("app")]


def test_replica_that_was_stopped_is_started_by_the_next_up(placing: Site) -> None:
    """It is the same replica, and was not restarted by the engine."""
    placing.stack = replace(placing.stack, services=(replace(placing.app, monitor=0.2),))
    placing.create()
    engine, before = placing.engine(), placing.replica()
    engine.stop_replica(before)
    (stopped,) = engine.replicas("app")
    assert (before.id, False) == (stopped.id, stopped.is_running)

    report = Recorded()
    deploy.up(placing.engine(), report, deploy.UpOptions(10))
    assert [f"Start app-1 ({stopped.state})"] == report.steps
    (started,) = engine.replicas("app")
    assert (before.id, True, 0) == (started.id, started.is_running, started.restarts)
    engine.start_replica(before)
    assert () == deploy.plan_up(placing.engine())


def test_replacing_replica_records_the_replaced_one_until_that_is_gone(placing: Site) -> None:
    """It is created and started only after the old one was retired; a second start changes nothing."""
    placing.create()
    engine, old = placing.engine(), placing.replica()
    new = engine.prepare_replica(placing.app, 1, old)
    assert (False, True, old.id) == (new.is_running, new.is_startable, new.replaces)
    assert () == differences(old.recipe, new.recipe)

    for _ in range(2):
        engine.retire_replica(old)
        engine.start_replica(new)
        replicas = {replica.id: replica for replica in placing.engine().replicas("app")}
        assert {old.id: ("app-1", False), new.id: ("app-1", True)} == {
            replica.id: (replica.name, replica.is_running) for replica in replicas.values()
        }
        assert old.recipe == replicas[old.id].recipe
    engine.remove_replica(old)
    (left,) = placing.engine().replicas("app")
    assert (new.id, True) == (left.id, left.is_running)


def test_replacing_replica_can_run_next_to_the_replaced_one(placing: Site) -> None:
    """Both have one number, and each its log. The replacement can be replaced, too."""
    placing.create()
    engine, ids = placing.engine(), set[str]()
    for value in ("two", "three"):
        (old,) = engine.replicas("app")
        command = ("sh", "-c", f"echo {value}; exec sleep 600")
        app = replace(placing.app, command=command, local=LocalSettings(command))
        new = engine.prepare_replica(app, 1, old)
        engine.start_replica(new)
        engine.admit_replica(new)
        replicas = placing.engine().replicas("app")
        assert {(old.id, "app-1", True), (new.id, "app-1", True)} == {
            (replica.id, replica.name, replica.is_running) for replica in replicas
        }
        engine.remove_replica(old)
        (left,) = placing.engine().replicas("app")
        assert (new.id, "app-1", True) == (left.id, left.name, left.is_running)
        assert eventually(functools.partial(has_log, engine, new, f"{value}\n".encode()))
        ids |= {old.id, new.id}
    assert 3 == len(ids)
    if isinstance(engine, DaemonEngine):
        container = engine.api.inspect_container(new.id)
        assert f"/{placing.stack.project}-app-1" == container["Name"]
        assert "1" == container["Config"]["Labels"]["com.docker.compose.container-number"]


def has_log(engine: ReplicaEngine, replica: Replica, content: bytes) -> bool:
    """Return whether the log of a replica has this content."""
    return content == b"".join(engine.logs(replica, follow=False))


def test_removing_a_replacing_replica_restores_the_replaced_one(placing: Site) -> None:
    """The old one has not changed, is stopped, and can be started again."""
    placing.stack = replace(placing.stack, services=(replace(placing.app, restart="always"),))
    placing.create()
    engine, old = placing.engine(), placing.replica()
    new = engine.prepare_replica(placing.app, 1, old)
    engine.retire_replica(old)
    engine.start_replica(new)
    engine.remove_replica(new)

    (left,) = placing.engine().replicas("app")
    assert (old.id, False, old.recipe) == (left.id, left.is_running, left.recipe)
    engine.start_replica(old)
    assert eventually(
        lambda: [(old.id, True)] == [(replica.id, replica.is_running) for replica in engine.replicas("app")]
    )


def test_clone_of_a_replica_replaces_none(placing: Site) -> None:
    """Its original may replace one."""
    placing.create()
    engine, old = placing.engine(), placing.replica()
    new = engine.prepare_replica(placing.app, 1, old)
    engine.retire_replica(old)
    engine.start_replica(new)

    assert "" == engine.clone_replica(new, 2).replaces


def configured(site: Site) -> Path:
    """Create everything, with a configuration file whose check requires a greeting; return the file."""
    file = site.stack.directory / "app.cfg"
    file.write_text("hello one\n", "utf-8")
    script = "trap 'cat /etc/app.cfg' USR1; cat /etc/app.cfg; while :; do sleep 0.1; done"
    app = replace(
        site.app,
        command=("sh", "-c", script),
        mounts=(Mount("config", "/etc/app.cfg", str(file), read_only=True),),
        reload=Reload("SIGUSR1", ("sh", "-c", "echo checking; grep hello /etc/app.cfg || { echo rude; exit 3; }")),
    )
    site.stack = replace(site.stack, services=(app,))
    site.create()
    return file


def test_replica_loads_a_changed_configuration_only_on_reload(placing: Site) -> None:
    """It is the same replica, also if the file was replaced; an engine without such files raises an error."""
    file, before = configured(placing), placing.replica()
    (new := file.with_name("new")).write_text("hello two\n", "utf-8")
    new.replace(file)  # as editors and git do
    engine = placing.engine()
    if not before.is_reloadable:
        with pytest.raises(EngineError, match="app-1 cannot reload its configuration"):
            engine.reload_replica(placing.app, before)
        return
    assert ("config./etc/app.cfg",) == differences(engine.recipe(placing.app) or {}, placing.replica().recipe)

    engine.check_reload(placing.app, before)
    engine.reload_replica(placing.app, before)
    after = placing.replica()
    assert (before.id, True) == (after.id, after.is_reloadable)
    assert () == differences(engine.recipe(placing.app) or {}, after.recipe)
    assert eventually(lambda: b"hello two\n" in b"".join(engine.logs(after, follow=False)))


def test_clone_has_separate_configuration_files(placing: Site) -> None:
    """Neither of the two sees what the other one loads."""
    file, before = configured(placing), placing.replica()
    engine = placing.engine()
    clone = engine.clone_replica(before, 2)
    assert () == differences(before.recipe, clone.recipe)
    if not before.is_reloadable:
        return
    file.write_text("hello two\n", "utf-8")
    loaded = []
    for replica in (before, clone):
        engine.reload_replica(placing.app, replica)
        recipe = engine.recipe(placing.app) or {}
        loaded.append([not differences(recipe, current.recipe) for current in sorted_replicas(engine)])

    assert [[True, False], [True, True]] == loaded


def sorted_replicas(engine: ReplicaEngine) -> list[Replica]:
    """Return the app's replicas by number."""
    return sorted(engine.replicas("app"), key=lambda replica: replica.number)


def test_configuration_that_fails_its_check_is_not_loaded(placing: Site) -> None:
    """The error has the check's last lines, and the replica has not changed."""
    file, before = configured(placing), placing.replica()
    file.write_text("go away\n", "utf-8")
    placing.world.refusals["app"] = "rude"
    engine = placing.engine()

    words = "rude" if before.is_reloadable else "cannot reload"
    for attempt in (engine.check_reload, engine.reload_replica):
        with pytest.raises(EngineError, match=words):
            attempt(placing.app, before)
    assert before == placing.replica()


def test_restarts_of_a_replica_are_counted(empty: Site) -> None:
    """The service declares `restart: always`."""
    empty.stack = replace(empty.stack, services=(replace(empty.app, restart="always"),))
    empty.create()
    replica = empty.replica()
    assert 0 == replica.restarts
    assert empty.engine().restarts_with_daemon(replica) == ("Docker" == type(empty.engine()).__name__)
    assert eventually(lambda: b"two" in b"".join(empty.engine().logs(replica, follow=False)))

    empty.end(replica)
    assert eventually(lambda: [1] == [replica.restarts for replica in empty.engine().replicas("app")])


def test_replicas_of_two_releases_need_a_choice(placing: Site) -> None:
    """During a deploy, a run never guesses its release."""
    placing.create()
    first, second = placing.replica().release, "0" * 12
    newer = replace(placing.app, image=f"{placing.stack.project}:{second}")
    placing.engine().ensure_image(newer, lambda _: None)
    placing.engine().create_replica(newer, 2)

    with pytest.raises(IdentityError, match=rf"app-1 is {first}, app-2 is {second}\. Name one with --release"):
        choose_source(placing.engine())
    assert [first, second] == [choose_source(placing.engine(), release).release for release in (first, second)]


def test_different_replicas_of_one_release_are_refused(placing: Site) -> None:
    """An unfinished `up` has changed the configuration of one; the error shows no value, even with `--release`."""
    placing.create()
    release = placing.replica().release
    placing.engine().create_replica(replace(placing.app, environment=(("COLOUR", "hush"), ("LEVEL", "info"))), 2)

    for chosen in ("", release):
        with pytest.raises(IdentityError) as refused:
            choose_source(placing.engine(), chosen)
        assert "cannot make a run: app-1 and app-2 differ in environment.COLOUR. Try: invoke up" == str(refused.value)


def test_record_and_output_outlive_the_stack(empty: Site) -> None:
    """`down --history` removes them."""
    empty.create()
    request = empty.request("echo", "kept")
    ended(empty, request)
    lifecycle.down(empty.engine(), Recorded())
    assert ("done", b"kept\n") == (empty.record(request).state, recorded(empty, request)[STDOUT])

    lifecycle.down(empty.engine(), Recorded(), history=True)
    assert () == empty.engine().runs.records()


def test_second_engine_sees_the_same(site: Site) -> None:
    """An engine keeps no state in memory."""
    assert site.engine().observe() == site.engine().observe()
    assert site.engine().observe().replicas == site.engine().replicas("app")
    assert () == site.engine().replicas("unknown")


def test_replica_has_the_recipe_that_it_was_created_from(site: Site) -> None:
    """So nothing is to be done; after a change of the environment, only that differs."""
    engine, service = site.engine(), site.app
    changed = replace(service, environment=(("COLOUR", "red"), ("LEVEL", "debug")))
    declared, observed = engine.recipe(service), site.replica().recipe
    assert declared is not None

    assert () == differences(declared, observed)
    assert ("environment.LEVEL",) == differences(engine.recipe(changed) or {}, observed)


def test_service_without_a_recipe_does_not_run(site: Site) -> None:
    """A service without `x-local` has none on the local engine."""
    engine = site.engine()
    without_local = replace(site.app, local=None)

    assert engine.runs_here(site.app)
    assert engine.runs_here(without_local) == (engine.recipe(without_local) is not None)


def test_plan_for_the_running_stack_is_empty(site: Site) -> None:
    """The engine observes what the stack declares."""
    assert () == deploy.plan_up(site.engine())


def test_replica_knows_its_release(site: Site) -> None:
    """It is the tag of its image."""
    assert site.app.image.rpartition(":")[2] == site.replica().release


@pytest.mark.parametrize(("last", "lines"), [(None, b"one\ntwo\n"), (1, b"two\n"), (5, b"one\ntwo\n"), (0, b"")])
def test_log_is_the_output(site: Site, last: int | None, lines: bytes) -> None:
    """It is complete, or limited to the last lines."""
    engine, replica = site.engine(), site.replica()
    assert eventually(lambda: b"two" in b"".join(engine.logs(replica, follow=False)))

    assert lines == b"".join(engine.logs(replica, follow=False, last=last))


def test_log_since_a_later_moment_is_empty(site: Site) -> None:
    """No output is that late."""
    engine, replica = site.engine(), site.replica()
    assert eventually(lambda: b"two" in b"".join(engine.logs(replica, follow=False)))

    assert b"" == b"".join(engine.logs(replica, follow=False, since=datetime.now(UTC) + timedelta(minutes=1)))


def test_log_that_is_followed_ends_when_the_replica_is_removed(empty: Site) -> None:
    """The reader gets the complete output."""
    empty.create()
    pieces = empty.engine().logs(empty.replica(), follow=True)
    read = b""
    while not read.endswith(b"two\n"):
        read += next(pieces)

    empty.remove_replica(empty.replica())
    assert b"one\ntwo\n" == read + b"".join(pieces)


@pytest.mark.parametrize(
    ("command", "code"), [(("true",), 0), (("false",), 1), (("sh", "-c", "exit 7"), 7), (("no-such-program",), 127)]
)
def test_run_ends_with_its_own_exit_code(site: Site, command: tuple[str, ...], code: int) -> None:
    """The session returns it, and another engine reads it from the record."""
    request = site.request(*command)
    assert code == ended(site, request)[0]

    record = site.record(request)
    assert (code, "failed" if code else "done", False) == (record.exit_code, record.state, record.is_running)


def test_record_contains_the_request(site: Site) -> None:
    """It contains only the names of overrides."""
    environment = (("LEVEL", "hush"),)
    request = replace(site.request("true", reason="why", environment=environment), notify="always")
    ended(site, request)
    record = site.record(request)

    assert (("true",), "why", ("LEVEL",)) == (record.command, record.reason, record.overrides)
    assert request.notify == record.notify
    assert (site.engine().name, site.replica().release) == (record.engine, record.release)
    assert datetime.fromisoformat(record.started) <= datetime.fromisoformat(record.finished)
    assert "hush" not in repr(record)


def test_outputs_are_exact_and_separate_and_recorded(site: Site) -> None:
    """The client gets them, and the record has them."""
    request = site.request("sh", "-c", "echo out; echo err >&2")

    assert (0, b"out\n", b"err\n") == ended(site, request)
    assert {STDOUT: b"out\n", STDERR: b"err\n"} == recorded(site, request)


@pytest.mark.parametrize(("last", "lines"), [(None, b"one\ntwo\n"), (1, b"two\n"), (5, b"one\ntwo\n"), (0, b"")])
def test_recorded_output_can_be_limited_to_the_last_lines(site: Site, last: int | None, lines: bytes) -> None:
    """It makes no difference whether it is followed."""
    request = site.request("sh", "-c", "echo one; echo two")
    ended(site, request)

    for follow in (False, True):
        output = site.engine().runs.output(request.id, follow=follow, last=last)
        assert lines == b"".join(data for _, data in output)


@detaching
def test_recorded_output_can_be_limited_to_a_time(site: Site) -> None:
    """The output of the run pauses before that time."""
    request = site.request("sh", "-c", "echo one; sleep 2; echo two")
    site.engine().runs.detach(request)
    assert eventually(lambda: b"one" in recorded(site, request).get(STDOUT, b""))
    moment = datetime.now(UTC) + timedelta(seconds=0.5)
    assert eventually(lambda: not site.record(request).is_running)

    for since, lines in ((moment, b"two\n"), (moment - timedelta(hours=1), b"one\ntwo\n")):
        output = site.engine().runs.output(request.id, follow=False, since=since)
        assert lines == b"".join(data for _, data in output)


def test_output_that_is_not_recorded_reaches_only_the_client(site: Site) -> None:
    """An example is the data of a backup."""
    request = site.request("echo", "data", kept=False)
    assert b"data\n" == ended(site, request)[1]

    assert ("done", 0) == (site.record(request).state, site.record(request).exit_code)


def test_input_is_byte_exact(site: Site) -> None:
    """All 256 bytes are sent in two pieces; the run exits at the end of its input."""
    data = bytes(range(256)) * 300
    session = site.engine().runs.start(site.request("cat", interactive=True))
    session.write_stdin(data[:1000])
    session.write_stdin(data[1000:])
    session.close_stdin()

    assert data == b"".join(piece for stream, piece in session.output() if stream == STDOUT)
    assert 0 == session.wait()


def test_run_without_input_gets_the_end_of_input_at_once(site: Site) -> None:
    """No client has to close its input."""
    assert (0, b"", b"") == ended(site, site.request("cat"))


def test_run_has_the_environment_of_its_replica(site: Site) -> None:
    """Only overrides differ."""
    levels = [
        ended(site, site.request("printenv", name, environment=overrides))[1]
        for name, overrides in (("LEVEL", ()), ("LEVEL", (("LEVEL", "debug"),)), ("COLOUR", (("LEVEL", "debug"),)))
    ]

    assert [b"info\n", b"debug\n", b"red\n"] == levels
    assert 1 == ended(site, site.request("printenv", "NOWHERE"))[0]


def test_admin_process_gets_the_id_and_release_of_its_run(site: Site) -> None:
    """They are variables of its environment."""
    request = site.request("sh", "-c", "printenv TWELFTH_RUN; printenv TWELFTH_RELEASE", is_admin_process=True)
    assert f"{request.id}\n{site.replica().release}\n".encode() == ended(site, request)[1]

    assert 1 == ended(site, site.request("printenv", "TWELFTH_RUN"))[0]


def test_differences_are_the_names_of_overrides(site: Site) -> None:
    """Without overrides there are none; comparing starts nothing."""
    before = len(site.engine().runs.records())
    runs = site.engine().runs

    assert () == runs.differences(site.request("true"))
    assert () == runs.differences(site.request("true", is_admin_process=True))
    assert ("environment.LEVEL", "environment.NEW") == runs.differences(
        site.request("true", environment=(("COLOUR", "red"), ("LEVEL", "debug"), ("NEW", "1")))
    )
    assert before == len(site.engine().runs.records())


def test_run_has_what_its_job_declares(site: Site) -> None:
    """Its variables precede those of the replica, and an override precedes them; the record has the names."""
    container = Service(
        "job",
        "",
        environment=(("COLOUR", "blue"), ("LEVEL", "warn"), ("NEW", "1")),
        options=as_options({"working_dir": "/words"}),
    )
    request = site.request(
        *("sh", "-c", "printenv COLOUR; printenv LEVEL; printenv NEW; pwd"),
        changes=Changes(container, frozenset({"command", "environment", "working_dir"})),
        environment=(("LEVEL", "debug"),),
    )

    names = ("COLOUR", "LEVEL", "NEW")
    assert (*(f"environment.{name}" for name in names), "working_dir") == site.engine().runs.differences(request)
    code, output, _ = ended(site, request)
    *values, directory = output.decode().split()
    assert (0, ["blue", "debug", "1"]) == (code, values)
    assert directory.endswith("/words")
    assert (*names, "working_dir") == site.record(request).overrides


@detaching
def test_detached_run_needs_no_client(site: Site) -> None:
    """Another client can follow its output until it exits."""
    request = site.request("sh", "-c", "echo started; sleep 0.3; echo done", interactive=True)
    site.engine().runs.detach(request)

    assert b"started\ndone\n" == recorded(site, request, follow=True)[STDOUT]
    assert eventually(lambda: site.record(request).state == "done")


def test_signal_stops_a_run(site: Site) -> None:
    """The exit code is that of a shell; a signal to a run that has exited is ignored."""

    session = site.engine().runs.start(site.request("sh", "-c", "echo ready; sleep 60"))
    output = session.output()
    assert (STDOUT, b"ready\n") == next(output)
    session.signal(signal.SIGKILL)

    assert [] == list(output)
    assert 137 == session.wait()
    session.signal(signal.SIGKILL)


def test_run_exits_with_124_at_its_time_limit(site: Site) -> None:
    """No client is needed."""
    request = site.request("sleep", "60", timeout=0.2)

    assert 124 == ended(site, request)[0]
    assert ("timeout", 124) == (site.record(request).state, site.record(request).exit_code)


@detaching
def test_another_client_can_find_and_follow_a_run_by_its_purpose(site: Site) -> None:
    """It gets the complete output and the exit code; an ordinary run has no purpose."""
    request = site.request("sh", "-c", "echo one; sleep 1; echo two; exit 3", purpose="release command of app: 1")
    site.engine().runs.detach(request)
    (record,) = [run for run in site.engine().runs.records() if run.purpose == request.purpose]
    lines: list[str] = []

    assert (request.id, True) == (record.id, record.is_running)
    assert (3, "two") == follow_with_report(site.engine(), record.id, lines.append)
    assert ["one"] == lines
    assert "" == site.record(site_run(site)).purpose


def site_run(site: Site) -> RunRequest:
    """Run a command that does nothing, and return its request."""
    request = site.request("true")
    ended(site, request)
    return request


def test_stopped_run_is_recorded_as_stopped(site: Site) -> None:
    """`stop` prints one line, and returns when the run has exited."""
    request = site.request("sleep", "60")
    lines: list[str] = []
    site.engine().runs.detach(request)
    assert ("running", None, None) == (
        site.record(request).state,
        site.record(request).exit_code,
        site.record(request).seconds,
    )
    site.engine().runs.stop(request.id, lines.append)

    assert ("stopped", 143) == (site.record(request).state, site.record(request).exit_code)
    assert [f"run {request.id} has 1 s to exit after TERM; then it is killed"] == lines


def test_run_from_a_removed_replica_is_refused(empty: Site) -> None:
    """No record is left."""
    empty.create()
    request = empty.request("true")
    empty.remove_replica(request.replica)

    with pytest.raises(NotUpError, match="app-1 is gone"):
        empty.engine().runs.start(request)
    assert () == empty.engine().runs.records()


def test_pinned_replica_can_be_removed(empty: Site) -> None:
    """Later runs of the same command are still made from it."""
    empty.create()
    engine, replica = empty.engine(), empty.replica()
    engine.runs.pin(replica)
    empty.remove_replica(replica)
    session = engine.runs.start(new_request(("printenv", "COLOUR"), replica, interactive=False))

    assert [(STDOUT, b"red\n")] == list(session.output())
    assert 0 == session.wait()


def test_run_of_a_built_release_needs_no_replica(empty: Site) -> None:
    """It needs only the image and the networks."""
    source = from_release(empty.engine().stack)
    request = new_request(("printenv", "LEVEL"), source, interactive=False)
    with pytest.raises(MisuseError, match="invoke releases"):
        empty.engine().runs.start(request)

    empty.engine().ensure_image(empty.app, lambda _: None)
    for resource in resources(empty.engine().stack):
        empty.engine().create_resource(resource)
    assert (0, b"info\n", b"") == ended(empty, request)
    assert () == empty.engine().observe().replicas


@detaching
def test_records_are_in_order_and_the_last_ones_are_kept(empty: Site) -> None:
    """A running run is never pruned; deleting a record deletes its output."""
    empty.create()
    running, *brief = (empty.request(*words) for words in (("sleep", "60"), *[("true",)] * 3))
    empty.engine().runs.detach(running)
    for request in brief:
        ended(empty, request)
    assert [running.id, *(run.id for run in brief)] == [run.id for run in empty.engine().runs.records()]

    empty.engine().runs.prune(2)
    assert [running.id, brief[1].id, brief[2].id] == [run.id for run in empty.engine().runs.records()]
    empty.engine().runs.delete(brief[1].id)
    assert [running.id, brief[2].id] == [run.id for run in empty.engine().runs.records()]


@detaching
def test_run_is_not_observed_as_a_replica(site: Site) -> None:
    """`observe` returns the same before and during a run."""
    before = site.engine().observe()
    request = site.request("sleep", "60")
    site.engine().runs.detach(request)

    assert before == site.engine().observe()
    site.engine().runs.stop(request.id, lambda _: None)


def test_hook_is_executed_next_to_the_process_of_a_replica(site: Site) -> None:
    """With the replica's environment and its own; a Swarm starts tasks by itself, so a stack with hooks is refused."""
    engine, hook = (
        site.engine(),
        Hook(("sh", "-c", "printenv LEVEL; printenv MORE; exit 3"), environment=(("MORE", "x"),)),
    )
    if isinstance(engine, Swarm):
        stack = site.stack.with_service(replace(site.app, post_start=(hook,), pre_stop=(hook,)))
        with pytest.raises(MisuseError, match=r"(?s)app\.post_start is not supported by Swarm.*app\.pre_stop is not"):
            engine.with_stack(stack).refuse_stack()
        return
    code, output = engine.execute_hook(site.replica(), hook)

    assert (3, ["info", "x"]) == (code, output.split())
