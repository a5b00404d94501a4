"""The commands on a Swarm of one node, as on Docker: the same session, deploys that nobody notices, nothing left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from bench import hits
from tests.conftest import eventually
from tests.scenarios.load import Load, change, crash_soon, guard
from tests.swarm.conftest import OnSwarm, on_swarm
from twelfth.engines.swarm.config_files import FILES as FILES_OF

if TYPE_CHECKING:
    from collections.abc import Iterator


FILES = {
    "docker-compose.override.yml": """
services:
  worker:
    networks: [elsewhere]
    configs: [{source: note, target: /etc/note}]
    secrets: [{source: token, uid: "10001", mode: 0400}]
networks: {elsewhere: {name: somebodys, external: true}}
configs: {note: {content: "one, "}}
secrets: {token: {file: ./token}}
""",
    "token": "hidden",
}
"""What is beside the project's own Compose file."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSwarm]:
    """Return the project, up on a Swarm of one node."""
    with on_swarm(tmp_path_factory.mktemp("swarm"), nodes=1) as made:
        docker(made, "network", "create", "--driver", "overlay", "--attachable", "somebodys")
        for name, text in FILES.items():
            (made.project.directory / name).write_text(text)
        refused = made.project.invoke("up")
        assert 2 == refused.returncode
        assert "may gain new privileges" in refused.stderr
        assert "invoke up --accept-weaker" in refused.stderr
        accepted = made.project.invoke("up", "--accept-weaker")
        assert 0 == accepted.returncode, accepted.stderr
        yield made


def docker(made: OnSwarm, *words: str) -> str:
    """Return what the docker command prints."""
    environment = made.project.environment | made.swarm.environment
    return subprocess.run(
        [shutil.which("docker") or "docker", *words], env=environment, capture_output=True, text=True, check=True
    ).stdout


def address(made: OnSwarm) -> str:
    """Return where the stack answers."""
    return str(json.loads(made.project.invoke("status", "--json").stdout)["address"])


def test_chapters_session(serving: OnSwarm) -> None:
    """It counts, is reset by a run, and counts from 1 again; a second `up` has nothing to do."""
    invoke = serving.project.invoke
    url = address(serving)
    assert "nothing to do\n" == invoke("--dry", "up").stdout
    assert "Hello World! 1 times." == hits.sentence(url)
    assert "Hello World! 2 times." == hits.sentence(url)
    assert "hits was 2, is 0 now\n" == invoke("reset").stdout
    assert "Hello World! 1 times." == hits.sentence(url)


def test_run_is_the_workers_twin_with_an_honest_end_and_a_record(serving: OnSwarm) -> None:
    """Its environment, its user, its own exit code; and what it would differ in is shown before."""
    invoke = serving.project.invoke
    ended = invoke("run", "--env", "LEVEL=x", "--", "sh", "-c", "echo $LEVEL $HOST_REDIS; id -u; exit 3")
    record = json.loads(invoke("history", "--json").stdout)[-1]

    assert (3, "x redis\n10001\n") == (ended.returncode, ended.stdout)
    assert ("swarm", "failed", 3, ["LEVEL"]) == tuple(
        record[key] for key in ("engine", "state", "exit_code", "overrides")
    )
    assert "x redis\n10001\n" == invoke("logs", "--run", record["id"]).stdout
    assert ["~ environment.LEVEL"] == [
        line for line in invoke("--dry", "run", "--env", "LEVEL=x", "--", "env").stdout.splitlines() if line[0] == "~"
    ]


@pytest.mark.thorough
def test_run_has_the_files_of_the_tasks_and_keeps_them(serving: OnSwarm) -> None:
    """With their owner and mode, whatever is declared by now; one that goes on sees no later content."""
    invoke, words = serving.project.invoke, ("cat", "/etc/note", "/run/secrets/token")
    see = "stat -c %u:%a /run/secrets/token; cat /etc/note /run/secrets/token"
    file = serving.project.directory / "docker-compose.override.yml"

    assert "10001:400\none, hidden" == invoke("run", "--", "sh", "-c", see).stdout
    going = invoke(
        "run", "--detach", "--", "sh", "-c", f"until [ -e /tmp/go ]; do sleep 0.1; done; {see}"
    ).stdout.strip()
    file.write_text(FILES[file.name].replace("one, ", "two, "))
    assert "one, hidden" == invoke("run", "--", *words).stdout
    assert "~ config./etc/note" not in invoke("--dry", "run", "--", *words).stdout
    assert 0 == invoke("up").returncode
    assert "two, hidden" == invoke("run", "--", *words).stdout
    docker(serving, "exec", f"{serving.project.name}-run-{going}", "touch", "/tmp/go")
    assert eventually(lambda: "10001:400\none, hidden" == invoke("logs", "--run", going).stdout)


@pytest.mark.thorough
def test_run_is_on_a_network_that_is_somebody_elses_as_the_tasks_are(serving: OnSwarm) -> None:
    """And a second `up` has nothing to do."""
    identity = serving.project.invoke("run", "--detach", "--", "true").stdout.strip()
    found = docker(
        serving, "inspect", f"{serving.project.name}-run-{identity}", "--format", "{{json .NetworkSettings}}"
    )

    assert "somebodys" in json.loads(found)["Networks"]
    assert "nothing to do\n" == serving.project.invoke("--dry", "up").stdout


@pytest.mark.thorough
def test_run_that_is_stopped_is_recorded_so(serving: OnSwarm) -> None:
    """A container on an overlay network cannot be renamed: its note in the Swarm says it."""
    invoke = serving.project.invoke
    identity = invoke("run", "--detach", "--", "sleep", "60").stdout.strip()

    assert f"{identity} stopped, exit code 143\n" == invoke("stop", identity).stdout
    assert "stopped" == json.loads(invoke("history", "--json").stdout)[-1]["state"]


def test_node_that_is_not_there_is_named(serving: OnSwarm) -> None:
    """With those that are."""
    refused = serving.project.invoke("run", "--node", "nowhere", "--", "true")

    assert (2, True) == (refused.returncode, "there is no such node" in refused.stderr)


def test_deploys_good_and_bad_cost_no_request(serving: OnSwarm) -> None:
    """Swarm rolls, and rolls back by itself; the bad release's own words are told, and `rollback` goes back further."""
    invoke, url = serving.project.invoke, address(serving)
    assert 0 == invoke("scale", "worker=2").returncode
    app = serving.project.directory / "service" / "app.py"
    with Load(url, visitors=4) as load:
        change(serving.project, "\n# another release\n")
        assert 0 == invoke("up").returncode
        good = app.read_text("utf-8")
        change(serving.project, "\nraise SystemExit('no such module')\n")
        failed = invoke("up")
        app.write_text(good, "utf-8")
        assert 0 == invoke("rollback").returncode
    figures = load.figures()

    assert 125 == failed.returncode
    assert "no such module" in failed.stderr
    assert "what served serves on" in failed.stderr
    assert {} == figures.failures
    assert 0 == figures.repeated
    status = json.loads(invoke("status", "--json").stdout)
    assert [("worker", 2, 2)] == [
        (s["service"], s["ready"], s["wanted"]) for s in status["services"] if s["service"] == "worker"
    ]


@pytest.mark.thorough
def test_release_that_crashes_soon_is_rolled_back(serving: OnSwarm) -> None:
    """Swarm watches each new task before it starts the next one."""
    invoke = serving.project.invoke
    kept = {
        name: (serving.project.directory / name).read_text("utf-8") for name in ("service/app.py", "docker-compose.yml")
    }
    before = json.loads(invoke("status", "--json").stdout)["release"]
    crash_soon(serving.project)
    failed = invoke("up")
    for name, text in kept.items():
        (serving.project.directory / name).write_text(text, "utf-8")

    assert 125 == failed.returncode, failed.stderr
    assert "worker ended" in failed.stderr
    found = json.loads(invoke("status", "--json").stdout)
    assert (True, before) == (found["ready"], found["release"]), found


@pytest.mark.thorough
def test_dependency_that_its_dependents_cannot_use_any_more_is_reported(serving: OnSwarm) -> None:
    """And taken back: Redis before the release command, which needs it."""
    file = serving.project.directory / "docker-compose.yml"
    before = file.read_text("utf-8")
    guard(serving.project)
    broken = serving.project.invoke("up", "--ready-within", "10")
    file.write_text(before, "utf-8")
    cured = serving.project.invoke("up")

    assert 125 == broken.returncode, broken.stderr
    assert "it depends on redis, which changed" in broken.stderr
    assert 0 == cured.returncode, cured.stderr


@pytest.mark.thorough
def test_docker_itself_sees_the_stack(serving: OnSwarm) -> None:
    """`docker stack services` and `docker stack ps` know it by its labels."""
    name = serving.project.name
    services = docker(serving, "stack", "services", name, "--format", "{{.Name}}").split()

    assert {f"{name}_{service}" for service in ("redis", "web", "worker")} == set(services)
    assert f"{name}_worker.1" in docker(serving, "stack", "ps", name)


@pytest.mark.thorough
def test_log_of_a_service_is_read_task_by_task(serving: OnSwarm) -> None:
    """As many lines as are asked for."""
    hits.sentence(address(serving))
    lines = serving.project.invoke("logs", "worker", "--tail", "1").stdout.splitlines()

    assert lines
    assert all(line.startswith("worker-") for line in lines)


def test_nothing_is_left_when_it_is_down(serving: OnSwarm) -> None:
    """Services, networks, the volume, configuration objects, runs; and what a killed client left of making one."""
    docker(serving, "create", "--label", f"{FILES_OF}={serving.project.name}", os.environ["REDIS_IMAGE"])
    down = serving.project.invoke("down", "--volumes", "--history")

    assert (0, "") == (down.returncode, down.stderr)
    for words in (["service", "ls", "-q"], ["config", "ls", "-q"], ["volume", "ls", "-q"], ["ps", "-aq"]):
        assert eventually(lambda words=words: not docker(serving, *words).strip()), words  # type: ignore[misc]
    assert serving.project.name not in docker(serving, "network", "ls", "--format", "{{.Name}}")
