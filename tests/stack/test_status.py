"""The status of a stack, from its snapshot and its healthchecks."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Recorded
from tests.memory_engine import Memory, World
from twelfth.engines.state import this_process
from twelfth.errors import EngineError, NotUpError
from twelfth.model.service import SERVICE_COMPLETED, Build, Mount, Service
from twelfth.model.snapshot import Health, Replica, Snapshot
from twelfth.model.stack import Stack
from twelfth.stack import deploy, notices, status

STACK = Stack("p", Path(), (Service("redis", "redis"), Service("worker", "app")))
REDIS = Replica("redis", 1, "a", "running", {})
WORKER = Replica("worker", 1, "b", "running", {}, release="abc", address="0.0.0.0:80")
FOUND = Snapshot((REDIS, WORKER))


def test_stack_is_ready_when_every_replica_is() -> None:
    """And prints the output of healthchecks as JSON."""
    healths = {"a": Health(is_ready=True), "b": Health(is_ready=True, output='{"revision": "0002"}')}
    found = status.summary(STACK, "e", FOUND, healths)

    assert (True, "", {"revision": "0002"}) == (found.ready, found.why, found.details)
    assert [("redis", 1, 1, "ready"), ("worker", 1, 1, "ready")] == [
        (row.service, row.replicas, row.wanted, row.health) for row in found.services
    ]


def test_what_has_crashed_is_there_to_be_looked_at() -> None:
    """Such as its log, which is needed most then; a command that needs a running replica is refused."""
    world = World(replicas={"worker-1": replace(WORKER, state="exited (1)")})
    engine = Memory(STACK, world)

    assert ["worker-1"] == [each.name for each in status.require_up(engine, also_ended=True).replicas]
    with pytest.raises(NotUpError):
        status.require_up(engine)


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (Health(is_ready=False, output='{"error": "no key"}'), "no key"),
        (Health(is_ready=False, output="one\ntwo\n"), "worker-1: two"),
        (Health(is_ready=True, output='{"error": "Redis is away"}'), "Redis is away"),
        (Health(is_ready=False, output='{"error": "no key"}', command="curl http://x/y"), "no key"),
        (
            Health(
                is_ready=False, output="curl: (22) error: 404", command="curl -f 'http://127.0.0.1:80/up?a=1' || exit 1"
            ),
            "worker-1: its healthcheck asks /up?a=1: curl: (22) error: 404",
        ),
        (Health(is_ready=False, output="no pong", command="redis-cli ping"), "worker-1: no pong"),
        (Health(is_ready=False, output="no", command="curl -f http://127.0.0.1"), "worker-1: no"),
        (Health(is_ready=False, command="wget -q http://x/y"), "worker-1: its healthcheck fails: wget -q http://x/y"),
        (Health(is_ready=False), "worker-1: its healthcheck fails"),
        (Health(is_ready=False, output="\x1b[31mred"), "worker-1: \\x1b[31mred"),
    ],
)
def test_stack_that_cannot_serve_says_why(health: Health, why: str) -> None:
    """Even where its healthcheck passes, as it does for what lives and was ready once."""
    found = status.summary(STACK, "e", FOUND, {"a": Health(is_ready=True), "b": health})

    assert (False, why) == (found.ready, found.why)


@pytest.mark.parametrize(
    ("wanted", "row", "why"),
    [
        (
            Service("worker", "app", replicas=3),
            ("worker", 1, 3, "running"),
            "worker has 1 of 3 replicas. Try: invoke up",
        ),
        (Service("web", "haproxy"), ("web", 0, 1, "missing"), "web has 0 of 1 replicas. Try: invoke up"),
    ],
)
def test_service_that_lacks_replicas_is_not_ready(wanted: Service, row: tuple[object, ...], why: str) -> None:
    """As after an interrupt: existing replicas may be healthy, and missing ones have a separate row."""
    others = tuple(each for each in STACK.services if each.name != wanted.name)
    stack = Stack("p", Path(), (*others, wanted))
    found = status.summary(stack, "e", FOUND, dict.fromkeys("ab", Health(is_ready=True)))

    assert (False, why) == (found.ready, found.why)
    assert row in [(each.service, each.replicas, each.wanted, each.state) for each in found.services]


@pytest.mark.parametrize("output", ["", "ok", "[1]", "{"])
def test_output_that_is_no_object_tells_nothing(output: str) -> None:
    """Such as wget's."""
    assert {} == Health(is_ready=True, output=output).details


@pytest.mark.parametrize(
    ("address", "url"),
    [("0.0.0.0:80", "http://127.0.0.1:80"), (":::80", "http://[::1]:80"), ("::1:80", "http://[::1]:80")],
)
def test_address_becomes_a_url_that_can_be_reached(address: str, url: str) -> None:
    """Every address means this machine."""
    assert url == status.url(address)


class Deploying(Memory):
    """An engine on which a deploy removes a replica as soon as it was seen."""

    def observe(self) -> Snapshot:
        """Return what there was."""
        found = super().observe()
        self.world.replicas.pop("redis-1", None)
        return found


def test_replica_that_is_removed_meanwhile_is_not_reported() -> None:
    """The others are."""
    found = status.status(Deploying(STACK, World(replicas={"redis-1": REDIS, "worker-1": WORKER})))

    assert ["worker-1"] == [each.name for row in found.services for each in row.each]
    assert (False, "redis has 0 of 1 replicas. Try: invoke up") == (found.ready, found.why)


class Away(Memory):
    """An engine that does not answer."""

    def check_health(self, replica: Replica, within: float | None = None) -> Health:  # noqa: ARG002 - it fails
        """Raise."""
        raise EngineError(f"cannot ask {replica.name}")


def test_error_of_the_engine_is_raised() -> None:
    """It says nothing about the replica."""
    with pytest.raises(EngineError, match=r"^cannot ask redis-1$"):
        status.status(Away(STACK, World(replicas={"redis-1": REDIS})))


DASHBOARD, API, DATA = (Service(name, "x") for name in ("dashboard", "api", "data"))
BUILT = replace(API, build=Build(Path()))


@pytest.mark.parametrize(
    ("stack", "publishing", "expected"),
    [
        (Stack("p", Path(), (DATA, BUILT, DASHBOARD)), ("dashboard", "api", "data"), "api"),
        (Stack("p", Path(), (DATA, BUILT, DASHBOARD)), ("dashboard", "data"), "dashboard"),
        (Stack("p", Path(), (DATA, BUILT, DASHBOARD), ingress="data"), ("dashboard", "api", "data"), "data"),
        (Stack("p", Path(), (DATA, BUILT, DASHBOARD), ingress="data"), ("dashboard", "api"), ""),
        (Stack("p", Path(), (DATA, API, DASHBOARD), runs_from="data"), ("dashboard", "api", "data"), "data"),
        (Stack("p", Path(), (), runs_from="api", ingress="dashboard"), ("dashboard", "api"), "dashboard"),
        (Stack("p", Path(), ()), ("data",), "data"),
        (Stack("p", Path(), (BUILT,)), (), ""),
    ],
)
def test_door_is_the_one_that_is_named_or_that_runs_are_made_from(
    stack: Stack, publishing: tuple[str, ...], expected: str
) -> None:
    """Or else the last to start, where several publish a port; a dashboard is none."""
    found = Snapshot(tuple(Replica(name, 1, name, "running", {}, address=f"{name}:80") for name in publishing))

    assert (expected and f"http://{expected}:80") == status.address(stack, found)


class Unchecked(Memory):
    """An engine whose healthchecks were all run already, except for that of one replica."""

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Run the check of that one only."""
        assert "new" == replica.id
        return super().check_health(replica, within)


def test_healthcheck_that_has_run_already_is_not_run_again() -> None:
    """Neither by `status` nor by `up`; of a replica that has exited since, the result does not count."""
    services = tuple(Service(name, "app") for name in ("old", "new", "gone"))
    replicas = {f"{name}-1": Replica(name, 1, name, "running", {}) for name in ("old", "new")}
    exited = Replica("gone", 1, "gone", "exited (1)", {})
    healthy = Health(is_ready=True)
    checked = {"old": Health(is_ready=True, output='{"error": "no key"}'), "another": healthy}
    engine = Unchecked(Stack("p", Path(), services[:2]), World(replicas=replicas))

    assert "no key" == status.status(engine, lambda: checked).why
    assert {"old": "no key"} == deploy.unready(engine, engine.observe(), checked)
    left = Memory(Stack("p", Path(), services[2:]), World(replicas={"gone-1": exited}))
    assert not status.status(left, lambda: {"gone": healthy}).ready


class Observed(Memory):
    """An engine that records each observation."""

    events: list[str]

    def observe(self) -> Snapshot:
        """Record it."""
        self.events.append("observe")
        return super().observe()


def test_second_up_observes_once_while_healthchecks_run_and_needs_no_lock() -> None:
    """Also if another process has the lock."""
    engine = Observed(Stack("p", Path(), (Service("app", "app"),)), World(images=["app"]))
    engine.events = []
    deploy.up(engine, Recorded())
    engine.events.clear()
    engine.world.holder = this_process("deploying")

    def checked() -> dict[str, Health]:
        engine.events.append("healthchecks")
        return {}

    deploy.up(engine, Recorded(), checked=checked)
    assert ["observe", "healthchecks"] == engine.events


def test_mounted_source_is_warned_about() -> None:
    """Because a rollback does not change what such a replica runs."""
    source = Mount("bind", "/code", "/project")
    web = Service("worker", "app", build=Build(Path("/project/web")), mounts=(source, Mount("bind", "/data", "/other")))
    engine = Memory(replace(STACK, services=(web,)), World(replicas={"worker-1": WORKER}))

    line = "worker: source mounted: /code shows /project, which can change without a release"
    assert (line,) == status.status(engine).warnings


PRESTART = Service("prestart", "app")
WEB = Service("web", "app", conditions=(("prestart", SERVICE_COMPLETED),))


@pytest.mark.parametrize(
    ("prestart", "running", "ready", "warning"),
    [
        ("exited (0)", "old", True, ""),
        ("exited (0)", "new", True, "prestart-1 (exited (0), release old)"),
        ("exited (1)", "new", True, "prestart-1 (exited (1), release old)"),
        ("exited (1)", "old", True, "prestart-1 (exited (1), release old)"),
        ("exited (1)", "", False, ""),
    ],
)
def test_service_that_a_failed_deploy_has_started_does_not_count(
    prestart: str,
    running: str,
    ready: bool,  # noqa: FBT001 - it is a case
    warning: str,
) -> None:
    """The release is that of the replicas that serve; a warning names the other one."""
    replicas = {"prestart-1": Replica("prestart", 1, "a", prestart, {}, is_admitted=False, release="old")}
    if running:
        replicas["web-1"] = Replica("web", 1, "b", "running", {}, release=running)

    shown = status.status(Memory(Stack("p", Path(), (PRESTART, WEB)), World(replicas=replicas)))

    rest = f" is from a deploy that did not finish; release {running} is running. Try: invoke up"
    assert (ready, running or "old") == (shown.ready, shown.release), shown.why
    assert ((warning + rest,) if warning else ()) == shown.warnings


def test_completed_service_is_fine_if_those_that_wait_for_it_have_no_releases() -> None:
    """Such as one that builds the files that a pulled nginx serves."""
    replicas = {
        "prestart-1": Replica("prestart", 1, "a", "exited (0)", {}, is_admitted=False, release="new"),
        "web-1": Replica("web", 1, "b", "running", {}),
    }

    assert () == status.status(Memory(Stack("p", Path(), (PRESTART, WEB)), World(replicas=replicas))).warnings


def test_service_that_another_one_waits_for_counts_until_that_one_has_exited() -> None:
    """Here `web` waits for `seed`, and `seed` for `prestart`."""
    seed = Service("seed", "app", conditions=(("prestart", SERVICE_COMPLETED),))
    stack = Stack("p", Path(), (PRESTART, seed, replace(WEB, conditions=(("seed", SERVICE_COMPLETED),))))
    failed = Replica("prestart", 1, "a", "exited (1)", {}, is_admitted=False)
    done = replace(failed, service="seed", id="c", state="exited (0)")
    web = Replica("web", 1, "b", "running", {})
    healths = dict.fromkeys("abc", Health(is_ready=True))

    whys = [
        status.summary(stack, "e", Snapshot(replicas), healths).why for replicas in ((failed,), (failed, done, web))
    ]
    assert ["prestart has 0 of 1 replicas. Try: invoke up", ""] == whys


class Far(Memory):
    """An engine on another machine."""

    machine = "ann@far"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:80", "only ann@far itself has this address. Try: ssh ssh://ann@far curl -s http://127.0.0.1:80"),
        ("far:80", ""),
    ],
)
def test_loopback_address_of_another_machine_is_not_requested(address: str, expected: str) -> None:
    """A process of this machine may listen there."""
    far = Far(Stack("p", Path(), (API,)), World(replicas={"api-1": replace(WORKER, service="api", address=address)}))
    with pytest.raises(EngineError, match=re.escape(expected)) if expected else contextlib.nullcontext():
        assert "http://far:80" == status.require_address(far)

    assert status.located(f"http://{address}", "ann@far").endswith(" on ann@far") == bool(expected)
    assert f"http://{address}" == status.located(f"http://{address}", "")


def test_directory_of_the_project_is_mounted_from_another_machine() -> None:
    """`up` warns, since the daemon creates an empty one there; other paths are meant for that machine."""
    sources = ("/project/media", "/srv/data")
    stack = Stack("p", Path("/project"), (replace(API, mounts=tuple(Mount("bind", "/x", path) for path in sources)),))
    warnings = [*notices.of_up(Far(stack, World()), Snapshot(), remove_orphans=False)]

    assert ["api mounts /project/media of ann@far: files of this machine are not copied there"] == warnings
    assert [] == [*notices.of_up(Memory(stack, World()), Snapshot(), remove_orphans=False)]
