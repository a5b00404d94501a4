"""Stacks of a test's own: a copy of the project, a name, a port, and one engine after the other."""

from __future__ import annotations

import compileall
import contextlib
import functools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests import forked_invoke, modern, sample, swarms
from tests.sample import MODERN
from twelfth.engines import choice, tcp
from twelfth.engines.local import release_copies
from twelfth.errors import EngineError
from twelfth.hints import program
from twelfth.stack import deploy, lifecycle, load
from twelfth.state_home import state_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twelfth.engines.contract import ReplicaEngine, Runs
    from twelfth.model.stack import Stack

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "Dockerfile",
    ".dockerignore",
    "docker-compose.yml",
    "tasks.py",
    "service",
    "admin",
    "web",
    "twelfth",
    "twelfth_redis",
)
DOCKER_COMPOSE = Path(sys.executable).parent / "docker-compose"
"""Compose's own program, which is installed with twelfth."""

REQUIRED = os.environ.get("TWELFTH_REQUIRE", "").split(",")

os.environ["TWELFTH_PROGRAM"] = "invoke"
program()  # so that hints in tests read as they are written; it removes the variable again


LONGEST = (
    "test_two_nodes.py",
    "test_schedules.py",
    "test_interrupted.py",
    "test_deploys.py",
    "swarm",
    "test_contract.py",
    "test_compose_hooks.py",
    "scenarios",
    "test_data.py",
    "runs",
    "test_program.py",
    "test_conformance.py",
    "test_resources.py",
    "test_failed_migration.py",
    "test_compose_interop.py",
    "test_no_hit_counted_twice.py",
    "test_second_up.py",
    "test_generic_project.py",
    "test_haproxy.py",
    "test_django.py",
    "twelfth_redis",
)
"""Folders and files of tests that take longest, by how long; those that measure come first, one for each process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `.ci/pythons` and `./inv test`."""
    parser.addoption("--without-daemons", action="store_true", help="leave out tests on docker, swarm and modern")
    parser.addoption("--sample", action="store_true", help="run the sample that tests/sample.py describes")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the state of all stacks out of the home directory; the processes of pytest-xdist share one directory."""
    if not hasattr(config, "workerinput"):
        os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="twelfth-state-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Delete the state."""
    if not hasattr(config, "workerinput"):
        release_copies.delete(Path(os.environ["XDG_STATE_HOME"]))


@pytest.fixture
def state_of_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a separate directory for the state of the stacks of a test, which can have any project name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "twelfth"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that little waits for it in the end."""
    if config.getoption("--without-daemons"):
        daemons = {"docker", "swarm", MODERN}
        items[:] = [item for item in items if daemons.isdisjoint(map(str, _parameters(item)))]
    if config.getoption("--sample"):
        items[:] = sample.sample(items)
    items.sort(key=lambda item: next((i for i, name in enumerate(LONGEST) if name in item.path.parts), len(LONGEST)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> sample.ByDaemon:
    """Return what gives tests to the processes that run them."""
    return sample.ByDaemon(config, log)


def _parameters(item: pytest.Item) -> Iterable[object]:
    call = getattr(item, "callspec", None)
    return call.params.values() if call else ()


@dataclass
class Recorded:
    """A report that remembers."""

    steps: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def step(self, line: str) -> None:
        """Record a step."""
        self.steps.append(line)

    def detail(self, line: str) -> None:
        """Record a detail of a step."""
        self.details.append(line)


@dataclass
class Project:
    """A copy of the project with a unique name and a free port."""

    directory: Path
    engine_name: str
    environment: dict[str, str]
    report: Recorded = field(default_factory=Recorded)
    clients: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the project's name."""
        return self.environment["COMPOSE_PROJECT_NAME"]

    @property
    def backups(self) -> Path:
        """Return the directory of backups without a name."""
        return state_home(self.name) / "backups"

    @property
    def own_environment(self) -> dict[str, str]:
        """Return the environment of its commands."""
        return self.environment | {"INVOKE_ENGINE": self.engine_name}

    @functools.cached_property
    def stack(self) -> Stack:
        """Return the stack as it is declared when it is first asked for; Compose takes a while to read it."""
        return load.of_current_release(load.load_stack(self.directory, self.environment))

    @property
    def runs(self) -> Runs:
        """Return the runs as another process would find them, which needs no later change of what is declared."""
        return choice.choose(self.engine_name, self.stack).runs

    def engine(self, *scale: str) -> ReplicaEngine:
        """Return a new engine, as another process would have it: it remembers nothing."""
        stack = load.scaled(load.of_current_release(load.load_stack(self.directory, self.environment)), scale)
        return cast("ReplicaEngine", choice.choose(self.engine_name, stack))

    def up(self, *scale: str) -> str:
        """Bring the stack up and return its address; the steps are in `report`."""
        self.report = Recorded()
        return deploy.up(self.engine(*scale), self.report)

    def steps(self) -> list[str]:
        """Return the steps that the last `up` took, without the progress of each."""
        return self.report.steps

    def plan(self, *scale: str) -> list[str]:
        """Return what `up` would do now."""
        return [str(step) for step in deploy.plan_up(self.engine(*scale))]

    def down(self, *, volumes: bool = True) -> None:
        """Remove the stack."""
        lifecycle.down(self.engine(), self.report, volumes=volumes, history=True)

    def start(self, *words: str, **streams: Any) -> subprocess.Popen[bytes]:
        """Start `invoke` in the project and return its process, which ends with the test at the latest."""
        client = subprocess.Popen(
            [forked_invoke.INVOKE, *words], cwd=self.directory, env=self.own_environment, **streams
        )
        self.clients.append(client)
        return client

    def end(self) -> None:
        """Stop the clients, and remove the stack."""
        for client in self.clients:
            client.kill()
            with client:  # closes its pipes
                pass
        self.down()

    def invoke(self, *words: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `invoke` in the project as an operator would, in a separate process."""
        own, given = self.own_environment | environment, (stdin or "").encode()
        done = forked_invoke.invoke(words, self.directory, own, given)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def eventually(check: Callable[[], bool], within: float = 20.0) -> bool:
    """Return whether the check comes true in time (seconds)."""
    deadline = time.monotonic() + within
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@functools.cache
def absent(name: str) -> str:
    """Return why an engine cannot be used here, such as no daemon or no images to be had, or an empty string."""
    try:
        engine = choice.choose(name, load.load_stack(ROOT, os.environ))
        here = engine.observe().images
        for service in engine.stack.services:
            if not service.build and service.image not in here:
                engine.ensure_image(service, lambda _: None)
    except EngineError as error:
        return str(error)
    return ""


ON_THIS_MACHINE = ("local", "docker")
"""The engines whose scenarios need nothing but this machine; a Swarm has its own, in tests/swarm."""

WITH_MODERN = (*ON_THIS_MACHINE, MODERN)
"""The engines of the scenarios that also run on a current daemon."""

with_modern = pytest.mark.parametrize("engine_name", WITH_MODERN, indirect=True)
"""Runs a test on these."""

EVERY = (*WITH_MODERN, "swarm")
"""The engines that the conformance suite holds to the contract."""


@pytest.fixture(scope="session")
def one_node() -> Iterator[swarms.Swarm]:
    """Return a Swarm of one node, made when the first test asks for it, and gone with the last."""
    if why := swarms.why_unavailable():
        skip_or_fail("swarm", why)
    with swarms.swarm() as made:
        yield made


@pytest.fixture(scope="session")
def modern_engine() -> Iterator[dict[str, str | None]]:
    """Return the variables of the modern engine, which starts with the first test that needs it."""
    if why := modern.why_unavailable():
        skip_or_fail(MODERN, why)
    with modern.engine() as variables:
        yield variables


DAEMONS = {"swarm": ("swarm", "one_node"), MODERN: ("docker", "modern_engine")}
"""The engines that use another daemon than this machine's: the engine's name, and the fixture of the daemon."""


@contextlib.contextmanager
def engine_at_hand(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a fixture's engine available and yield its name; the environment leads to its daemon meanwhile."""
    name, fixture = DAEMONS.get(request.param, (request.param, ""))
    with pytest.MonkeyPatch.context() as patch:
        daemon = request.getfixturevalue(fixture) if fixture else {}
        for variable, value in getattr(daemon, "environment", daemon).items():
            if value is None:
                patch.delenv(variable, raising=False)
            else:
                patch.setenv(variable, value)
        yield name


@pytest.fixture(scope="session", params=ON_THIS_MACHINE)
def engine_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return each engine's name in turn; skip one that is absent, unless TWELFTH_REQUIRE names it."""
    with engine_at_hand(request) as name:
        require(name)
        yield name


def require(name: str) -> None:
    """Skip the test where an engine is absent, or fail it where TWELFTH_REQUIRE names the engine."""
    if why := absent(name):
        skip_or_fail(name, why)


def require_program(program: str | Path) -> None:
    """Skip the test where a program that it compares with is absent, or fail it where TWELFTH_REQUIRE names it."""
    if not shutil.which(program):
        skip_or_fail(Path(program).name, "it is not installed")


def skip_or_fail(name: str, why: str) -> None:
    """Skip the test, or fail it where TWELFTH_REQUIRE names what is absent."""
    if name in REQUIRED:
        pytest.fail(f"TWELFTH_REQUIRE names {name}, but {why}")
    pytest.skip(f"{name}: {why}")


@pytest.fixture
def project(engine_name: str, tmp_path: Path) -> Iterator[Project]:
    """Return a project on the engine, and remove all that it made."""
    made = make_project(engine_name, tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def serving(engine_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project that is up, for the tests of a module that leave it serving, with whatever release and data."""
    made = make_project(engine_name, tmp_path_factory.mktemp("serving"))
    made.up()
    yield made
    made.end()


def make_project(engine_name: str, directory: Path, asked_every: str = "1m", monitor: str = "200ms") -> Project:
    """Return a copy of the project in `directory`, ready to be brought up.

    `asked_every` is the interval at which the daemon asks its healthchecks by itself: twelfth asks at its own pace, and
    the daemon's asking, every five seconds in all the stacks of the tests, took an eighth of the machine. New replicas
    are watched for `monitor`, not for 5 s.
    """
    for name in COPIED:
        source = ROOT / name
        if name == "twelfth":  # as compiled: Invoke has each command compile what it finds without
            compile_twelfth()
            shutil.copytree(source, directory / name)
        elif source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / name)
    file = directory / "docker-compose.yml"
    text = file.read_text("utf-8").replace("interval: 5s", f"interval: {asked_every}")
    if os.environ.get("DOCKER_HOST", "").startswith("tcp:"):  # the loopback of that machine cannot be reached
        text = text.replace("127.0.0.1:${PORT", "${PORT")
    text = text.replace("    deploy:\n", f"    deploy:\n      update_config: {{monitor: {monitor}}}\n")
    file.write_text(text, "utf-8")
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # some tests move the names of images
        (directory / "service" / "beside.py").write_text(f'"""Makes this release one of {worker} alone."""\n', "utf-8")
    name = f"t{secrets.token_hex(4)}"
    own = {"COMPOSE_PROJECT_NAME": name, "PORT": str(tcp.free("127.0.0.1"))}
    return Project(directory, engine_name, dict(os.environ) | own)


@functools.cache
def compile_twelfth() -> None:
    """Compile the tool once, for all copies of it."""
    compileall.compile_dir(ROOT / "twelfth", quiet=1)


@pytest.fixture
def tell(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return what prints a scenario's figures, which are of interest also where it passes."""

    def print_figures(text: str) -> None:
        with capfd.disabled():
            sys.stderr.write(f"{text}\n")  # standard output of a process beside others goes nowhere

    return print_figures
