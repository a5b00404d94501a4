"""A run is made from the running release: the same image, environment and backing services."""

from __future__ import annotations

import functools
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from bench import hits
from tests.conftest import with_modern
from tests.runs.client import COLUMNS, ROWS, lifecycle_url, open_terminal, record, records, run
from tests.sample import MODERN
from twelfth.engines.docker_api import run_spec
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.errors import IdentityError
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project
    from twelfth.engines.docker.engine import Docker


@with_modern
def test_run_has_the_release_and_configuration_of_the_worker(serving: Project) -> None:
    """Factor XII: same image, same environment, same place, another process."""
    worker = choose_source(serving.engine())
    environment = {
        name.removeprefix("environment."): value
        for name, value in worker.recipe.items()
        if name.startswith("environment.")
    }
    done = run(serving, "--", "python", "-c", "import json, os; print(json.dumps(dict(os.environ)))")

    seen = json.loads(done.stdout)
    assert environment == {name: seen.get(name) for name in environment}
    assert (worker.release, worker.image) == (record(serving)["release"], record(serving)["image"])


@with_modern
def test_reset_resets_what_the_worker_counts(serving: Project) -> None:
    """The chapter's own story."""
    url = lifecycle_url(serving)
    hits.sentence(url)

    assert serving.invoke("reset").stdout.endswith("is 0 now\n")
    assert "Hello World! 1 times." == hits.sentence(url)


@with_modern
def test_chapters_own_script_on_standard_input_works(serving: Project) -> None:
    """Its lines with HOST_REDIS and PORT_REDIS, as the input of a run."""
    url = lifecycle_url(serving)
    hits.sentence(url)
    script = b"import os, redis\nr = redis.Redis(host=os.environ['HOST_REDIS'], port=int(os.environ['PORT_REDIS']))\n"

    assert 0 == run(serving, "--", "python", stdin=script + b"r.set('hits', 0)\n").returncode
    assert "Hello World! 1 times." == hits.sentence(url)


@pytest.mark.thorough
@with_modern
def test_console_works_without_a_terminal(serving: Project) -> None:
    """A program on standard input has the counter at hand."""
    serving.invoke("reset", "--to", "41")

    assert "41\n" == serving.invoke("console", stdin="print(counter.value())").stdout


@with_modern
def test_dry_run_shows_the_command_and_does_nothing(serving: Project) -> None:
    """No record is made, and the value of an override is not shown."""
    before = records(serving)
    done = serving.invoke("--dry", "run", "--env", "A=hush", "--", "echo", "x y")

    assert 0 == done.returncode
    assert "echo 'x y'" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert before == records(serving)


@pytest.mark.thorough
@with_modern
def test_program_is_a_command_by_being_there(serving: Project) -> None:
    """A new admin/NAME.py is listed with its docstring and runs from the next release on."""
    program = (
        '"""Say what it was given."""\nimport sys\nif __name__ == "__main__":\n    sys.exit(print(sys.argv[1:]) or 6)\n'
    )
    (serving.directory / "admin" / "say_it.py").write_text(program, "utf-8")
    serving.up()

    assert "Say what it was given." in serving.invoke("--list").stdout
    done = serving.invoke("say-it", "--", "a b", "--c")
    assert (6, "['a b', '--c']\n") == (done.returncode, done.stdout)


JOBS = """
x-jobs:
  first: {command: [python, -c, "print('first')"]}
  report:
    command: [python, -c, "import os, sys; print(os.environ['LEVEL'], sys.argv[1:])"]
    environment: {LEVEL: debug}
    depends_on: [first]
  help_me: {command: [python, -m, admin.reset], x-twelfth: {help: Reset}}
  slow: {command: [sleep, "60"], x-twelfth: {concurrency: forbid}}
"""


def test_jobs_are_commands(serving: Project) -> None:
    """With those before them, and with the help of their programs; of four started at one moment, one is running."""
    (serving.directory / "jobs.yml").write_text(JOBS, "utf-8")
    invoke = functools.partial(serving.invoke, COMPOSE_FILE="docker-compose.yml:jobs.yml")

    done = invoke("report", "--", "a b")
    assert (0, "debug ['a b']\n", "first\n") == (done.returncode, done.stdout, done.stderr)
    assert ["before report", ""] == [record["reason"] for record in records(serving)[-2:]]
    assert "--to N" in invoke("--help", "help-me").stdout.partition("The program, python -m admin.reset:")[2]

    with ThreadPoolExecutor() as pool:
        starts = list(pool.map(lambda _: invoke("slow", "--detach"), range(4)))
    (run_id,) = [start.stdout.strip() for start in starts if start.returncode == 0]
    assert [f"run {run_id} of " in start.stderr for start in starts].count(True) == len(starts) - 1
    assert {0, 125} == {start.returncode for start in starts}
    assert 0 == invoke("stop", run_id).returncode


@pytest.mark.parametrize("engine_name", [MODERN], indirect=True)
def test_terminal_has_its_size_from_the_first_byte(serving: Project) -> None:
    """From API 1.42 on the size is a setting of the container; before, a program that looks at once may see 0 by 0."""
    with open_terminal() as terminal:
        for _ in range(3):
            client = terminal.start(serving, "run", "--", "stty", "size")

            assert f"{ROWS} {COLUMNS}\r\n" == terminal.until("\n")
            assert 0 == client.wait(30)


on_docker = pytest.mark.parametrize("engine_name", ["docker", MODERN], indirect=True)
Body = dict[str, Any]


def ids(engine: Docker, label: str) -> set[str]:
    """Return the ids of the project's containers that have a label, whatever their state."""
    wanted = {"label": [f"{COMPOSE}project={engine.stack.project}", label]}
    return {each["Id"] for each in engine.api.containers(all=True, filters=wanted)}


def alter(engine: Docker, monkeypatch: pytest.MonkeyPatch, change: Callable[[Body], Body]) -> None:
    """Make the daemon create the container of each run differently from the request."""
    make: Callable[[Body, str], Body] = engine.api.create_container_from_config

    def otherwise(body: Body, name: str) -> Body:
        return make(change(body) if run_spec.RUN in body["Labels"] else body, name)

    monkeypatch.setattr(engine.api, "create_container_from_config", otherwise)


def refusal(engine: Docker, way: str = "start") -> str:
    """Start a run, assert that it is refused and leaves nothing behind, and return the reason."""
    before = ids(engine, run_spec.RUN)
    with pytest.raises(IdentityError) as refused:
        getattr(engine.runs, way)(new_request(["true"], choose_source(engine), environment=(("LEVEL", "debug"),)))
    assert before == ids(engine, run_spec.RUN)
    return str(refused.value)


@on_docker
@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("Env", ["HOST_REDIS=else"], "environment.HOST_REDIS"),
        ("Env", ["LEVEL=info"], "environment.LEVEL"),
        ("User", "root", "user"),
        ("Entrypoint", ["env"], "Entrypoint"),
        ("WorkingDir", "/", "WorkingDir"),
        ("HostConfig.NanoCpus", 500_000_000, "limits.cpus"),
        ("HostConfig.Memory", 64 << 20, "limits.memory"),
        ("HostConfig.PidsLimit", 7, "limits.pids"),
        ("HostConfig.ReadonlyRootfs", False, "read_only"),
        ("HostConfig.CapDrop", [], "cap_drop"),
        ("HostConfig.CapAdd", ["NET_ADMIN"], "CapAdd"),
        ("HostConfig.Privileged", True, "Privileged"),
        ("HostConfig.SecurityOpt", [], "security_opt"),
        ("HostConfig.Tmpfs", {}, "tmpfs./tmp"),
        ("HostConfig.Binds", ["/etc:/host"], "bind./host"),
        ("HostConfig.Mounts", [{"Type": "volume", "Target": "/more"}], "Mounts"),
        ("HostConfig.PidMode", "host", "PidMode"),
        ("HostConfig.Ulimits", [{"Name": "nofile", "Soft": 64, "Hard": 64}], "Ulimits"),
        ("HostConfig.NetworkMode", "host", "NetworkMode"),
        ("HostConfig.RestartPolicy", {"Name": "always"}, "RestartPolicy"),
    ],
)
def test_run_that_was_made_otherwise_is_refused_by_name(
    serving: Project, monkeypatch: pytest.MonkeyPatch, key: str, value: Any, name: str
) -> None:
    """The daemon created something else than requested: it is not started, and nothing of it is left."""
    engine: Docker = serving.engine()  # type: ignore[assignment]
    part, _, setting = key.rpartition(".")
    inner = {setting: value}
    alter(engine, monkeypatch, lambda body: body | ({part: body[part] | inner} if part else inner))
    said = refusal(engine)

    assert re.match("the run would differ from worker-[0-9]+ in ", said)
    assert name in re.split(" in |, |; ", said)
    assert said.endswith("; nothing was started")


@on_docker
@pytest.mark.parametrize("way", ["start", "detach"])
def test_run_of_another_image_is_refused(serving: Project, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Attached and detached."""
    engine: Docker = serving.engine()  # type: ignore[assignment]
    redis = engine.replicas("redis")[0].image
    alter(engine, monkeypatch, lambda body: body | {"Image": redis})

    assert " in image" in refusal(engine, way)


@on_docker
def test_run_on_other_networks_is_refused(serving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One network is not the worker's, and one of the worker's is missing."""
    engine: Docker = serving.engine()  # type: ignore[assignment]
    first = engine.api.inspect_container(choose_source(engine).id)["HostConfig"]["NetworkMode"]
    alter(engine, monkeypatch, lambda body: body | {"HostConfig": body["HostConfig"] | {"NetworkMode": "bridge"}})
    alter(engine, monkeypatch, lambda body: body | {"NetworkingConfig": {}})

    assert f" in network.bridge, network.{first}, NetworkMode;" in refusal(engine, "detach")
