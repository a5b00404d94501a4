"""What every engine must do, at the level of the contract: the same tests against each, and the one in memory.

The project is a generic one: nothing here is about hits (the idea is huey's storage tests).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.conftest import EVERY, ON_THIS_MACHINE, Recorded, engine_at_hand, eventually, require
from tests.memory_engine import Memory, World
from twelfth import engines
from twelfth.engines import tcp
from twelfth.engines.contract import STDERR, STDOUT
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.engines.local.engine import Local
from twelfth.engines.swarm.engine import Swarm
from twelfth.errors import EngineError, IdentityError, MisuseError, NotUpError
from twelfth.model.snapshot import differences
from twelfth.model.stack import Local as LocalSettings
from twelfth.model.stack import Mount, Reload, Service
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source, from_release
from twelfth.runs.start import follow_with_report
from twelfth.stack import lifecycle, load

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
"""

detaching = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
"""A client that detaches ends at once, and what it holds goes with it; here it is one that goes on."""


def resources(owner: Stack | Snapshot) -> list[Network | Volume]:
    """Return the networks and volumes that are declared or there."""
    return [*owner.networks, *owner.volumes]


@dataclass
class Site:
    """The project on one engine; each `engine()` is new, as another process would have it."""

    stack: Stack
    engine_name: str
    world: World = field(default_factory=World)

    def engine(self) -> ReplicaEngine:
        """Return a new engine."""
        if self.engine_name == "memory":
            return Memory(self.stack, self.world)
        return cast("ReplicaEngine", engines.choose(self.engine_name, self.stack))

    def create(self) -> None:
        """Create all, as `up` does but for the release command and the wait."""
        engine, service = self.engine(), self.app
        engine.ensure_image(service, lambda _: None)
        for resource in resources(engine.stack):
            engine.create_resource(resource)
        self.create_replica()

    def create_replica(self) -> None:
        """Create the service's replica, on an engine that rolls services all of what it declares."""
        engine = self.engine()
        if isinstance(engine, Swarm):
            engine.roll_service(self.app, 30, lambda _: None)
        else:
            engine.create_replica(self.app, 1)

    def remove_replica(self, replica: Replica) -> None:
        """Remove the service's replica, on an engine that rolls services with the service."""
        engine = self.engine()
        if isinstance(engine, Swarm):
            engine.remove_service(replica.service)
        else:
            engine.remove_replica(replica)

    def end(self, replica: Replica) -> None:
        """End a replica's process as if it had crashed."""
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
                os.kill(next(each["pid"] for each in processes if each["name"] == replica.name), signal.SIGKILL)
            case _:
                self.world.change("crash", replica.name, restarts=replica.restarts + 1)

    def remove(self) -> None:
        """Remove all that was made, the image too."""
        engine = self.engine()
        lifecycle.down(engine, Recorded(), volumes=True, history=True)
        if isinstance(engine, DaemonEngine):
            own = f"{self.stack.project}:"
            found = [tag for image in engine.api.images() for tag in image["RepoTags"] or [] if tag.startswith(own)]
            for tag in found:  # not the image itself, which other sites have under their own names
                engine.api.remove_image(tag)

    @property
    def app(self) -> Service:
        """Return the service."""
        (service,) = self.stack.services
        return service

    def replica(self) -> Replica:
        """Return the replica that runs."""
        return choose_source(self.engine())

    def request(self, *command: str, **asked: Any) -> RunRequest:
        """Return a request for a run without input, unless that is asked for."""
        return new_request(command, self.replica(), **{"interactive": False} | asked)

    def record(self, request: RunRequest) -> Run:
        """Return the record of a run."""
        (found,) = [each for each in self.engine().runs.records() if each.id == request.id]
        return found


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Return what the project declares, which Compose takes a while to read."""
    directory = tmp_path_factory.mktemp("context")
    (directory / "docker-compose.yml").write_text(COMPOSE)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "greeting").write_text("hello\n")
    return load.of_current_release(load.load_stack(directory, os.environ | {"COMPOSE_PROJECT_NAME": "declared"}))


def make_site(engine_name: str, declared: Stack, directory: Path) -> Site:
    """Return the project under a name of its own, of which nothing is made yet; skip where the engine is absent."""
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


@pytest.fixture(params=["memory", *ON_THIS_MACHINE])
def placing(request: pytest.FixtureRequest, declared: Stack, tmp_path: Path) -> Iterator[Site]:
    """Return the project of which nothing is made yet, on each engine that is told of each replica (`ReplicaEngine`).

    A Swarm places replicas by itself, and has no such verbs: docs/scaling.md.
    """
    site = make_site(request.param, declared, tmp_path)
    yield site
    site.remove()


@pytest.fixture
def empty(name: str, declared: Stack, tmp_path: Path) -> Iterator[Site]:
    """Return the project of which nothing is made yet."""
    site = make_site(name, declared, tmp_path)
    yield site
    site.remove()


@pytest.fixture(scope="module")
def site(name: str, declared: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return the project that is there, for the tests that do not change it."""
    site = make_site(name, declared, tmp_path_factory.mktemp("site"))
    try:
        site.create()
        yield site
    finally:
        site.remove()


def ended(site: Site, request: RunRequest) -> tuple[int, bytes, bytes]:
    """Do a run; return its exit code and both its outputs."""
    session = site.engine().runs.start(request)
    session.close_stdin()
    streams = {STDOUT: b"", STDERR: b""}
    for stream, data in session.output():
        streams[stream] += data
    return session.wait(), streams[STDOUT], streams[STDERR]


def kept(site: Site, request: RunRequest, *, follow: bool = False) -> dict[int, bytes]:
    """Return what is kept of a run's output, by stream."""
    streams = {STDOUT: b"", STDERR: b""}
    for stream, data in site.engine().runs.output(request.id, follow=follow):
        streams[stream] += data
    return streams


def test_nothing_is_there_at_first_and_an_engine_that_is_there_says_no_reason(empty: Site) -> None:
    """Looking makes nothing."""
    found = empty.engine().observe()

    assert "" == empty.engine().why_unavailable()
    assert ((), (), (), frozenset()) == (found.replicas, found.networks, found.volumes, found.images)
    assert () == empty.engine().runs.records()


def test_all_that_is_made_is_seen_and_what_is_removed_is_not(empty: Site) -> None:
    """Another engine sees it at once; removing what is gone already is no error."""
    empty.create()
    engine, there = empty.engine(), empty.engine().observe()
    (replica,) = there.replicas

    assert ("app", 1, "app-1", True) == (replica.service, replica.number, replica.name, replica.is_running)
    assert (engine.stack.networks, engine.stack.volumes) == (there.networks, there.volumes)
    for _ in range(2):
        empty.remove_replica(replica)
        for resource in resources(there):
            engine.remove_resource(resource)
    left = empty.engine().observe()
    assert ((), (), ()) == (left.replicas, left.networks, left.volumes)
    assert there.images == left.images


def test_what_has_another_name_now_is_removed_by_the_name_that_it_has(empty: Site) -> None:
    """And nothing else is; what is declared does not exist."""
    empty.create()
    there = empty.engine().observe()
    new = f"{empty.stack.project}-new-"
    networks = tuple(replace(each, known_as=new + each.name) for each in empty.stack.networks)
    volumes = tuple(replace(each, known_as=new + each.name) for each in empty.stack.volumes)
    empty.stack = replace(empty.stack, networks=networks, volumes=volumes)
    engine, found = empty.engine(), empty.engine().observe()
    assert (there.networks, there.volumes) == (found.networks, found.volumes)

    for replica in found.replicas:
        empty.remove_replica(replica)
    for resource in (*engine.stack.resources, *resources(found)):
        engine.remove_resource(resource)
    left = empty.engine().observe()
    assert ((), ()) == (left.networks, left.volumes)


def test_image_is_here_once_it_was_made(empty: Site) -> None:
    """It is said how that goes; asked for again it is there all the same."""
    for _ in range(2):
        said: list[str] = []
        empty.engine().ensure_image(empty.app, said.append)

        assert said
        assert frozenset({empty.app.image}) == empty.engine().observe().images


def test_replica_of_an_image_that_is_not_here_never_runs(empty: Site) -> None:
    """It is refused, or seen to have ended."""
    with contextlib.suppress(EngineError):
        empty.create_replica()

    assert eventually(lambda: not [each for each in empty.engine().replicas("app") if each.is_running])


def test_second_replica_is_made_beside_the_first(placing: Site) -> None:
    """By number, each removed by itself."""
    placing.create()
    placing.engine().create_replica(placing.app, 2)
    first, second = placing.engine().observe().replicas_of("app")
    assert [("app-1", True), ("app-2", True)] == [(each.name, each.is_running) for each in (first, second)]
    assert differences(first.recipe, second.recipe) == ()

    placing.engine().remove_replica(first)
    assert ["app-2"] == [each.name for each in placing.engine().replicas("app")]


def test_replica_serves_once_it_was_admitted(placing: Site) -> None:
    """Until then nobody who depends on its service finds it, and no run is made from it; once more does no harm."""
    public = replace(placing.app.local or LocalSettings(()), port=tcp.free("127.0.0.1"))
    app = replace(placing.app, mounts=(), local=public)
    dependant = Service("door", "none", networks=app.networks, depends_on=("app",))
    placing.stack = replace(placing.stack, services=(app, dependant))
    engine = placing.engine()
    engine.ensure_image(app, lambda _: None)
    for resource in resources(engine.stack):
        engine.create_resource(resource)
    made = engine.create_replica(app, 1)
    assert (True, False, False) == (made.is_running, made.is_admitted, made.serves)
    assert () == differences(engine.recipe(app) or {}, made.recipe)
    with pytest.raises(NotUpError):
        choose_source(engine)

    for _ in range(2):
        engine.admit_replica(made)
        assert [True] == [each.serves for each in placing.engine().replicas("app")]


def test_replica_that_was_stopped_is_started_again(placing: Site) -> None:
    """The same one, whatever came in between."""
    placing.create()
    engine, before = placing.engine(), placing.replica()
    engine.stop_replica(before)
    assert [(before.id, False)] == [(each.id, each.is_running) for each in engine.replicas("app")]

    engine.start_replica(before)
    assert eventually(lambda: [(before.id, True)] == [(each.id, each.is_running) for each in engine.replicas("app")])


def test_replica_that_takes_anothers_place_records_it_until_that_is_gone(placing: Site) -> None:
    """It is created and does not run; once the old one is retired it is started, however often that is asked."""
    placing.create()
    engine, old = placing.engine(), placing.replica()
    new = engine.prepare_replica(placing.app, 2, old)
    assert (False, True, old.id) == (new.is_running, new.is_startable, new.replaces)
    assert () == differences(old.recipe, new.recipe)

    for _ in range(2):
        engine.retire_replica(old)
        engine.start_replica(new)
        found = {each.number: each for each in placing.engine().replicas("app")}
        assert [(1, False), (2, True)] == sorted((number, each.is_running) for number, each in found.items())
        assert old.recipe == found[1].recipe
    engine.remove_replica(old)
    (left,) = placing.engine().replicas("app")
    assert (new.id, True) == (left.id, left.is_running)


def test_replica_that_is_removed_gives_the_place_back(placing: Site) -> None:
    """The old one is the same as before, stopped, and starts again."""
    placing.stack = replace(placing.stack, services=(replace(placing.app, restart="always"),))
    placing.create()
    engine, old = placing.engine(), placing.replica()
    new = engine.prepare_replica(placing.app, 2, old)
    engine.retire_replica(old)
    engine.start_replica(new)
    engine.remove_replica(new)

    (left,) = placing.engine().replicas("app")
    assert (old.id, False, old.recipe) == (left.id, left.is_running, left.recipe)
    engine.start_replica(old)
    assert eventually(lambda: [(old.id, True)] == [(each.id, each.is_running) for each in engine.replicas("app")])


def test_clone_of_a_replica_takes_nobodys_place(placing: Site) -> None:
    """Though the one that it is like did."""
    placing.create()
    engine, old = placing.engine(), placing.replica()
    new = engine.prepare_replica(placing.app, 2, old)
    engine.retire_replica(old)
    engine.start_replica(new)

    assert "" == engine.clone_replica(new, 3).replaces


def configured(site: Site) -> Path:
    """Create all, with a configuration file whose check wants a greeting in it; return the file."""
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


def test_replica_loads_a_changed_configuration_when_it_is_told_to(placing: Site) -> None:
    """The same one, and not before, however the file was written; an engine without such files says so."""
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


def test_clone_has_configuration_files_of_its_own(placing: Site) -> None:
    """What one of the two loads the other does not see, whichever it is."""
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
        wanted = engine.recipe(placing.app) or {}
        loaded.append([not differences(wanted, each.recipe) for each in sorted_replicas(engine)])

    assert [[True, False], [True, True]] == loaded


def sorted_replicas(engine: ReplicaEngine) -> list[Replica]:
    """Return the app's replicas by number."""
    return sorted(engine.replicas("app"), key=lambda each: each.number)


def test_configuration_that_its_check_refuses_is_not_loaded(placing: Site) -> None:
    """The check's last words are told, and the replica is as it was."""
    file, before = configured(placing), placing.replica()
    file.write_text("go away\n", "utf-8")
    placing.world.refusals["app"] = "rude"
    engine = placing.engine()

    words = "rude" if before.is_reloadable else "cannot load"
    for attempt in (engine.check_reload, engine.reload_replica):
        with pytest.raises(EngineError, match=words):
            attempt(placing.app, before)
    assert before == placing.replica()


def test_replica_that_had_to_be_started_again_says_how_often(empty: Site) -> None:
    """An engine starts again what ends, where the service wants that."""
    empty.stack = replace(empty.stack, services=(replace(empty.app, restart="always"),))
    empty.create()
    replica = empty.replica()
    assert 0 == replica.restarts
    assert eventually(lambda: b"two" in b"".join(empty.engine().logs(replica, follow=False)))

    empty.end(replica)
    assert eventually(lambda: [1] == [each.restarts for each in empty.engine().replicas("app")])


def test_replicas_of_two_releases_are_named_until_one_is_chosen(placing: Site) -> None:
    """A deploy under way: a run is made from no guess."""
    placing.create()
    first, second = placing.replica().release, "0" * 12
    newer = replace(placing.app, image=f"{placing.stack.project}:{second}")
    placing.engine().ensure_image(newer, lambda _: None)
    placing.engine().create_replica(newer, 2)

    with pytest.raises(IdentityError, match=f"app-1 is {first}, app-2 is {second}; choose: --release ID"):
        choose_source(placing.engine())
    assert [first, second] == [choose_source(placing.engine(), each).release for each in (first, second)]


def test_replicas_of_one_release_that_are_not_alike_are_named(placing: Site) -> None:
    """An `up` that was not finished after a change of the configuration; no value is shown, no release chooses."""
    placing.create()
    release = placing.replica().release
    placing.engine().create_replica(replace(placing.app, environment=(("COLOUR", "hush"), ("LEVEL", "info"))), 2)

    for chosen in ("", release):
        with pytest.raises(IdentityError) as refused:
            choose_source(placing.engine(), chosen)
        assert "app-1 and app-2 differ in environment.COLOUR; finish it: invoke up" == str(refused.value)


def test_record_and_output_outlive_the_stack(empty: Site) -> None:
    """Until they are named; the data, too, stays until then."""
    empty.create()
    request = empty.request("echo", "kept")
    ended(empty, request)
    lifecycle.down(empty.engine(), Recorded())
    assert ("done", b"kept\n") == (empty.record(request).state, kept(empty, request)[STDOUT])

    lifecycle.down(empty.engine(), Recorded(), history=True)
    assert () == empty.engine().runs.records()


def test_second_engine_sees_the_same(site: Site) -> None:
    """An engine keeps nothing in memory of its own."""
    assert site.engine().observe() == site.engine().observe()
    assert site.engine().observe().replicas == site.engine().replicas("app")
    assert () == site.engine().replicas("nobody")


def test_recipe_is_that_of_what_was_made_from_it(site: Site) -> None:
    """Nothing is to be done then; a changed environment is named and nothing else."""
    engine, service = site.engine(), site.app
    changed = replace(service, environment=(("COLOUR", "red"), ("LEVEL", "debug")))
    wanted, found = engine.recipe(service), site.replica().recipe
    assert wanted is not None

    assert () == differences(wanted, found)
    assert ("environment.LEVEL",) == differences(engine.recipe(changed) or {}, found)


def test_service_runs_here_where_it_has_a_recipe(site: Site) -> None:
    """One that says nothing of a life without containers has none on the engine that has no containers."""
    engine = site.engine()
    mute = replace(site.app, local=None)

    assert engine.runs_here(site.app)
    assert engine.runs_here(mute) == (engine.recipe(mute) is not None)


def test_plan_of_what_is_there_is_empty(site: Site) -> None:
    """What the engine finds is what the stack declares."""
    assert () == lifecycle.plan_up(site.engine())


def test_replica_knows_its_release(site: Site) -> None:
    """By the name that its image has."""
    assert site.app.image.rpartition(":")[2] == site.replica().release


@pytest.mark.parametrize(("last", "lines"), [(None, b"one\ntwo\n"), (1, b"two\n"), (5, b"one\ntwo\n"), (0, b"")])
def test_log_is_what_was_printed(site: Site, last: int | None, lines: bytes) -> None:
    """All of it, or so many lines before its end."""
    engine, replica = site.engine(), site.replica()
    assert eventually(lambda: b"two" in b"".join(engine.logs(replica, follow=False)))

    assert lines == b"".join(engine.logs(replica, follow=False, last=last))


def test_log_since_a_later_moment_is_empty(site: Site) -> None:
    """Nothing was printed after it."""
    engine, replica = site.engine(), site.replica()
    assert eventually(lambda: b"two" in b"".join(engine.logs(replica, follow=False)))

    assert b"" == b"".join(engine.logs(replica, follow=False, since=datetime.now(UTC) + timedelta(minutes=1)))


def test_log_that_is_followed_ends_when_the_replica_is_removed(empty: Site) -> None:
    """Whoever reads it hears all that was printed, and is let go."""
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
    """The session has it, and the record; another engine reads that."""
    request = site.request(*command)
    assert code == ended(site, request)[0]

    record = site.record(request)
    assert (code, "failed" if code else "done", False) == (record.exit_code, record.state, record.is_running)


def test_record_holds_what_was_asked_for(site: Site) -> None:
    """Of an override its name only."""
    request = site.request("true", reason="why", environment=(("LEVEL", "hush"),))
    ended(site, request)
    record = site.record(request)

    assert (("true",), "why", ("LEVEL",)) == (record.command, record.reason, record.overrides)
    assert (site.engine().name, site.replica().release) == (record.engine, record.release)
    assert datetime.fromisoformat(record.started) <= datetime.fromisoformat(record.finished)
    assert "hush" not in repr(record)


def test_outputs_are_exact_and_apart_and_kept(site: Site) -> None:
    """While the run goes and after it."""
    request = site.request("sh", "-c", "echo out; echo err >&2")

    assert (0, b"out\n", b"err\n") == ended(site, request)
    assert {STDOUT: b"out\n", STDERR: b"err\n"} == kept(site, request)


@pytest.mark.parametrize(("last", "lines"), [(None, b"one\ntwo\n"), (1, b"two\n"), (5, b"one\ntwo\n"), (0, b"")])
def test_kept_output_begins_so_many_lines_before_its_end(site: Site, last: int | None, lines: bytes) -> None:
    """Or with its beginning; whether it is followed or not."""
    request = site.request("sh", "-c", "echo one; echo two")
    ended(site, request)

    for follow in (False, True):
        found = site.engine().runs.output(request.id, follow=follow, last=last)
        assert lines == b"".join(data for _, data in found)


@detaching
def test_kept_output_begins_with_what_was_printed_since_a_moment(site: Site) -> None:
    """Of a run whose output pauses, after that pause."""
    request = site.request("sh", "-c", "echo one; sleep 2; echo two")
    site.engine().runs.detach(request)
    assert eventually(lambda: b"one" in kept(site, request).get(STDOUT, b""))
    moment = datetime.now(UTC) + timedelta(seconds=0.5)
    assert eventually(lambda: not site.record(request).is_running)

    for since, lines in ((moment, b"two\n"), (moment - timedelta(hours=1), b"one\ntwo\n")):
        found = site.engine().runs.output(request.id, follow=False, since=since)
        assert lines == b"".join(data for _, data in found)


def test_output_that_is_not_kept_has_only_its_client(site: Site) -> None:
    """Such as all the data of a backup."""
    request = site.request("echo", "data", kept=False)
    assert b"data\n" == ended(site, request)[1]

    assert ("done", 0) == (site.record(request).state, site.record(request).exit_code)


def test_input_comes_out_byte_by_byte(site: Site) -> None:
    """All 256 of them, in two pieces; the end of the input is the end of the run."""
    data = bytes(range(256)) * 300
    session = site.engine().runs.start(site.request("cat", interactive=True))
    session.write_stdin(data[:1000])
    session.write_stdin(data[1000:])
    session.close_stdin()

    assert data == b"".join(piece for stream, piece in session.output() if stream == STDOUT)
    assert 0 == session.wait()


def test_run_without_input_finds_its_end_at_once(site: Site) -> None:
    """Nobody has to close anything."""
    assert (0, b"", b"") == ended(site, site.request("cat"))


def test_run_has_the_environment_of_its_replica(site: Site) -> None:
    """What is asked for is otherwise, and nothing else."""
    levels = [
        ended(site, site.request("printenv", name, environment=asked))[1]
        for name, asked in (("LEVEL", ()), ("LEVEL", (("LEVEL", "debug"),)), ("COLOUR", (("LEVEL", "debug"),)))
    ]

    assert [b"info\n", b"debug\n", b"red\n"] == levels
    assert 1 == ended(site, site.request("printenv", "NOWHERE"))[0]


def test_admin_process_is_told_which_run_it_is(site: Site) -> None:
    """By its own id, and the release that it is of."""
    request = site.request("sh", "-c", "printenv TWELFTH_RUN; printenv TWELFTH_RELEASE", is_admin_process=True)
    assert f"{request.id}\n{site.replica().release}\n".encode() == ended(site, request)[1]

    assert 1 == ended(site, site.request("printenv", "TWELFTH_RUN"))[0]


def test_difference_is_what_was_asked_for_by_name_only(site: Site) -> None:
    """None where nothing was; asking starts nothing."""
    before = len(site.engine().runs.records())
    runs = site.engine().runs

    assert () == runs.differences(site.request("true"))
    assert () == runs.differences(site.request("true", is_admin_process=True))
    assert ("environment.LEVEL", "environment.NEW") == runs.differences(
        site.request("true", environment=(("COLOUR", "red"), ("LEVEL", "debug"), ("NEW", "1")))
    )
    assert before == len(site.engine().runs.records())


@detaching
def test_detached_run_goes_on_by_itself(site: Site) -> None:
    """Its output is followed to its end by whoever comes later."""
    request = site.request("sh", "-c", "echo begun; sleep 0.3; echo done", interactive=True)
    site.engine().runs.detach(request)

    assert b"begun\ndone\n" == kept(site, request, follow=True)[STDOUT]
    assert eventually(lambda: site.record(request).state == "done")


def test_signal_ends_a_run(site: Site) -> None:
    """With the exit code that a shell has for it; one that has ended takes none."""

    session = site.engine().runs.start(site.request("sh", "-c", "echo ready; sleep 60"))
    output = session.output()
    assert (STDOUT, b"ready\n") == next(output)
    session.signal(signal.SIGKILL)

    assert [] == list(output)
    assert 137 == session.wait()
    session.signal(signal.SIGKILL)


def test_run_whose_time_is_over_ends_with_124(site: Site) -> None:
    """Nobody needs to watch."""
    request = site.request("sleep", "60", timeout=0.2)

    assert 124 == ended(site, request)[0]
    assert ("timeout", 124) == (site.record(request).state, site.record(request).exit_code)


@detaching
def test_run_is_found_by_its_purpose_and_followed_by_another_client(site: Site) -> None:
    """Its output from the first line on and its exit code; an ordinary run has no purpose."""
    request = site.request("sh", "-c", "echo one; sleep 1; echo two; exit 3", purpose="release command of app: 1")
    site.engine().runs.detach(request)
    (found,) = [run for run in site.engine().runs.records() if run.purpose == request.purpose]
    lines: list[str] = []

    assert (request.id, True) == (found.id, found.is_running)
    assert (3, "two") == follow_with_report(site.engine(), found.id, lines.append)
    assert ["one"] == lines
    assert "" == site.record(site_run(site)).purpose


def site_run(site: Site) -> RunRequest:
    """Run a command that does nothing, and return its request."""
    request = site.request("true")
    ended(site, request)
    return request


def test_run_that_is_stopped_is_recorded_so(site: Site) -> None:
    """It says once what it waits for, and returns when the run has ended."""
    request = site.request("sleep", "60")
    said: list[str] = []
    site.engine().runs.detach(request)
    assert ("running", None, None) == (
        site.record(request).state,
        site.record(request).exit_code,
        site.record(request).seconds,
    )
    site.engine().runs.stop(request.id, said.append)

    assert ("stopped", 143) == (site.record(request).state, site.record(request).exit_code)
    assert [f"run {request.id} has 1 s to exit after TERM; then it is killed"] == said


def test_run_is_made_from_the_replica_that_was_chosen_or_not_at_all(empty: Site) -> None:
    """It has been removed since; no record is left."""
    empty.create()
    request = empty.request("true")
    empty.remove_replica(request.replica)

    with pytest.raises(NotUpError, match="app-1 is gone"):
        empty.engine().runs.start(request)
    assert () == empty.engine().runs.records()


def test_pinned_replica_may_go(empty: Site) -> None:
    """Runs of the same command are made from what it was."""
    empty.create()
    engine, replica = empty.engine(), empty.replica()
    engine.runs.pin(replica)
    empty.remove_replica(replica)
    session = engine.runs.start(new_request(("printenv", "COLOUR"), replica, interactive=False))

    assert [(STDOUT, b"red\n")] == list(session.output())
    assert 0 == session.wait()


def test_run_of_a_built_release_needs_no_replica(empty: Site) -> None:
    """Only that it is built, and the networks."""
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
def test_records_come_in_order_and_the_last_are_kept(empty: Site) -> None:
    """A run that goes on is never pruned; a record that is deleted takes its output along."""
    empty.create()
    going, *brief = (empty.request(*words) for words in (("sleep", "60"), *[("true",)] * 3))
    empty.engine().runs.detach(going)
    for request in brief:
        ended(empty, request)
    assert [going.id, *(each.id for each in brief)] == [each.id for each in empty.engine().runs.records()]

    empty.engine().runs.prune(2)
    assert [going.id, brief[1].id, brief[2].id] == [each.id for each in empty.engine().runs.records()]
    empty.engine().runs.delete(brief[1].id)
    assert [going.id, brief[2].id] == [each.id for each in empty.engine().runs.records()]


@detaching
def test_run_is_no_replica(site: Site) -> None:
    """Whatever is observed is what serves."""
    before = site.engine().observe()
    request = site.request("sleep", "60")
    site.engine().runs.detach(request)

    assert before == site.engine().observe()
    site.engine().runs.stop(request.id, lambda _: None)
