"""The commands on a Swarm of one node, as on Docker: the same session, deploys under load, and nothing left."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from bench import hits
from tests.conftest import eventually
from tests.scenarios.load import Load, change, crash_soon, guard
from tests.swarm.conftest import OnSwarm, on_swarm

if TYPE_CHECKING:
    from collections.abc import Iterator


FILES = {
    "docker-compose.override.yml": """
services:
  worker:
    networks: [elsewhere]
    configs: [{source: note, target: /etc/note}]
    secrets: [{source: token, uid: "10001", mode: 0400}]
    x-release: !reset null
    pre_start:
      - {command: [python, -m, admin.migrate, --wait, "60", --allow-newer]}
      - {command: [sh, -c, "echo $$MORE; id -u; cat /etc/note"], environment: {MORE: more}, user: "4321"}
x-jobs:
  apart: {image: "${PYTHON_IMAGE:-python:3.13-slim}", command: [sh, -c, "cat /etc/note; ls /back"], networks: [back],
          configs: [{source: note, target: /etc/note}], volumes: ["of-job:/back"]}
  tuned: {command: [sh, -c, "id -u; pwd; printenv HOST_REDIS LEVEL; cat /etc/note"], user: "4321", mem_limit: 64m,
          environment: {LEVEL: x}, configs: [{source: other, target: /etc/note}], working_dir: /etc}
volumes: {of-job: }
networks: {elsewhere: {name: of-another-owner, external: true}}
configs: {note: {content: "one, "}, other: {content: "two"}}
secrets: {token: {file: ./token}}
""",
    "token": "hidden",
}
"""Files next to the project's Compose file."""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSwarm]:
    """Return the project, up on a Swarm of one node."""
    with on_swarm(tmp_path_factory.mktemp("swarm"), nodes=1) as project_on_swarm:
        docker(project_on_swarm, "network", "create", "--driver", "overlay", "--attachable", "of-another-owner")
        for name, text in FILES.items():
            (project_on_swarm.project.directory / name).write_text(text)
        refused = project_on_swarm.project.invoke("up")
        assert 2 == refused.returncode
        assert "may gain new privileges" in refused.stderr
        assert "To accept this, repeat the command with --accept-weaker" in refused.stderr
        accepted = project_on_swarm.project.invoke("up", "--accept-weaker")
        assert 0 == accepted.returncode, accepted.stderr
        yield project_on_swarm


def docker(on: OnSwarm, *words: str) -> str:
    """Return what the docker command prints."""
    environment = on.project.environment | on.swarm.environment
    return subprocess.run(
        [shutil.which("docker") or "docker", *words], env=environment, capture_output=True, text=True, check=True
    ).stdout


def address(on: OnSwarm) -> str:
    """Return the stack's address."""
    return str(json.loads(on.project.invoke("status", "--json").stdout)["address"])


def test_hits_and_reset(serving: OnSwarm) -> None:
    """Hits are counted, a run resets them, and counting starts at 1 again; a second `up` has nothing to do."""
    invoke = serving.project.invoke
    url = address(serving)
    assert "nothing to do\n" == invoke("--dry", "up").stdout
    assert "Hello World! 1 times." == hits.sentence(url)
    assert "Hello World! 2 times." == hits.sentence(url)
    assert "hits was 2, is 0 now\n" == invoke("reset").stdout
    assert "Hello World! 1 times." == hits.sentence(url)


def test_run_is_made_from_the_worker_and_recorded(serving: OnSwarm) -> None:
    """It has the worker's environment and user, and its own exit code; `--dry` shows the difference."""
    invoke = serving.project.invoke
    run = invoke("run", "--env", "LEVEL=x", "--", "sh", "-c", "echo $LEVEL $HOST_REDIS; id -u; exit 3")
    record = json.loads(invoke("history", "--json").stdout)[-1]

    assert (3, "x redis\n10001\n") == (run.returncode, run.stdout)
    assert ("swarm", "failed", 3, ["LEVEL"]) == tuple(
        record[key] for key in ("engine", "state", "exit_code", "overrides")
    )
    assert "x redis\n10001\n" == invoke("logs", "--run", record["id"]).stdout
    assert ["~ environment.LEVEL"] == [
        line for line in invoke("--dry", "run", "--env", "LEVEL=x", "--", "env").stdout.splitlines() if line[0] == "~"
    ]


@pytest.mark.thorough
def test_release_commands_have_their_settings(serving: OnSwarm) -> None:
    """They are runs in the order of `pre_start`, each before the first task of a release."""
    records = json.loads(serving.project.invoke("history", "--json").stdout)
    runs = [record for record in records if record["reason"] == "up" and record["kind"] == "run"][:2]

    assert ["python", "sh"] == [run["command"][0] for run in runs]
    assert "more\n4321\none, " == serving.project.invoke("logs", "--run", runs[1]["id"]).stdout


def test_run_has_what_its_job_declares(serving: OnSwarm) -> None:
    """From a task, or from a separate image that `up` has fixed."""
    tuned, apart = serving.project.invoke("tuned"), serving.project.invoke("apart")

    assert ("4321\n/etc\nredis\nx\ntwo", "") == (tuned.stdout, tuned.stderr)
    assert ("one, ", "") == (apart.stdout, apart.stderr)


@pytest.mark.thorough
def test_run_has_the_files_of_the_tasks_and_keeps_them(serving: OnSwarm) -> None:
    """They have the owner and mode of the tasks' files; a run that is still running sees no later content."""
    invoke, words = serving.project.invoke, ("cat", "/etc/note", "/run/secrets/token")
    see = "stat -c %u:%a /run/secrets/token; cat /etc/note /run/secrets/token"
    file = serving.project.directory / "docker-compose.override.yml"

    assert "10001:400\none, hidden" == invoke("run", "--", "sh", "-c", see).stdout
    running = invoke(
        "run", "--detach", "--", "sh", "-c", f"until [ -e /tmp/go ]; do sleep 0.1; done; {see}"
    ).stdout.strip()
    file.write_text(FILES[file.name].replace("one, ", "two, "))
    assert "one, hidden" == invoke("run", "--", *words).stdout
    assert "~ config./etc/note" not in invoke("--dry", "run", "--", *words).stdout
    assert 0 == invoke("up").returncode
    assert "two, hidden" == invoke("run", "--", *words).stdout
    docker(serving, "exec", f"{serving.project.name}-run-{running}", "touch", "/tmp/go")
    assert eventually(lambda: "10001:400\none, hidden" == invoke("logs", "--run", running).stdout)


@pytest.mark.thorough
def test_run_joins_a_network_of_another_owner_as_the_tasks_do(serving: OnSwarm) -> None:
    """A second `up` has nothing to do."""
    run_id = serving.project.invoke("run", "--detach", "--", "true").stdout.strip()
    inspected = docker(
        serving, "inspect", f"{serving.project.name}-run-{run_id}", "--format", "{{json .NetworkSettings}}"
    )

    assert "of-another-owner" in json.loads(inspected)["Networks"]
    assert "nothing to do\n" == serving.project.invoke("--dry", "up").stdout


@pytest.mark.thorough
def test_stopped_run_is_recorded_as_stopped(serving: OnSwarm) -> None:
    """A container on an overlay network cannot be renamed, so its note in the Swarm is marked."""
    invoke = serving.project.invoke
    run_id = invoke("run", "--detach", "--", "sleep", "60").stdout.strip()

    assert f"{run_id} stopped, exit code 143\n" == invoke("stop", run_id).stdout
    assert "stopped" == json.loads(invoke("history", "--json").stdout)[-1]["state"]


def test_unknown_node_is_refused(serving: OnSwarm) -> None:
    """The error lists the nodes."""
    refused = serving.project.invoke("run", "--node", "nowhere", "--", "true")

    assert (2, True) == (refused.returncode, "there is no such node" in refused.stderr)


@pytest.mark.thorough
def test_deploys_good_and_bad_cost_no_request(serving: OnSwarm) -> None:
    """Swarm rolls out and rolls back; the error has the bad release's output, and `rollback` works afterwards."""
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
    assert "it was rolled back to what ran before" in failed.stderr
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
    texts = {
        name: (serving.project.directory / name).read_text("utf-8") for name in ("service/app.py", "docker-compose.yml")
    }
    before = json.loads(invoke("status", "--json").stdout)["release"]
    crash_soon(serving.project)
    failed = invoke("up")
    for name, text in texts.items():
        (serving.project.directory / name).write_text(text, "utf-8")

    assert 125 == failed.returncode, failed.stderr
    assert "worker exited" in failed.stderr

    def is_as_before() -> bool:
        status = json.loads(invoke("status", "--json").stdout)
        return (True, before) == (status["ready"], status["release"])

    assert eventually(is_as_before)


@pytest.mark.thorough
def test_dependency_that_its_dependents_can_no_longer_use_is_reported(serving: OnSwarm) -> None:
    """It is rolled back, too: Redis before the release command, which needs it."""
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
def test_docker_stack_lists_the_stack(serving: OnSwarm) -> None:
    """`docker stack services` and `docker stack ps` find it by its labels."""
    name = serving.project.name
    services = docker(serving, "stack", "services", name, "--format", "{{.Name}}").split()

    assert {f"{name}_{service}" for service in ("redis", "web", "worker")} == set(services)
    assert f"{name}_worker.1" in docker(serving, "stack", "ps", name)


@pytest.mark.thorough
def test_log_of_a_service_has_the_lines_of_all_tasks(serving: OnSwarm) -> None:
    """`--tail` limits them."""
    hits.sentence(address(serving))
    lines = serving.project.invoke("logs", "worker", "--tail", "1").stdout.splitlines()

    assert lines
    assert all(line.startswith("worker-") for line in lines)


def test_down_leaves_nothing(serving: OnSwarm) -> None:
    """It removes services, networks, volumes, configuration objects and runs."""
    down = serving.project.invoke("down", "--volumes", "--history", "--yes")

    assert (0, "") == (down.returncode, down.stderr)
    for words in (["service", "ls", "-q"], ["config", "ls", "-q"], ["volume", "ls", "-q"], ["ps", "-aq"]):
        assert eventually(lambda words=words: not docker(serving, *words).strip()), words  # type: ignore[misc]
    assert serving.project.name not in docker(serving, "network", "ls", "--format", "{{.Name}}")
