"""Runs when something else fails: the daemon, the disk, the worker, the client."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import resource
import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests import daemon
from tests.conftest import eventually
from tests.runs.client import detached, output, read_until, record, records, run
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Project

on_docker = pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
on_local = pytest.mark.parametrize("engine_name", ["local"], indirect=True)
PIPES: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@contextlib.contextmanager
def cuttable(project: Project) -> Iterator[tuple[Project, daemon.Way]]:
    """Return the project with clients whose connection to the daemon can be cut."""
    with daemon.way(project.engine().api) as way:  # type: ignore[attr-defined]
        yield replace(project, environment=project.environment | {"DOCKER_HOST": way.url}), way


def ended(client: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait until a client has exited, and return its exit code and standard error."""
    said = client.communicate(timeout=60)[1]
    return client.returncode, said.decode()


def assert_engine_failed(client: subprocess.Popen[bytes], hint: str, before: str = "") -> None:
    """Assert that a client exits with 125 and one line that names the next command, after its earlier lines."""
    code, said = ended(client)
    assert said.startswith(f"{before}twelfth: ")
    assert (125, 1) == (code, said.removeprefix(before).count("\n")), said
    assert hint in said


@on_docker
def test_run_goes_on_where_the_daemon_goes_away_from_its_client(serving: Project) -> None:
    """The client guesses no exit code; the true one is in the record when the daemon is back."""
    with cuttable(serving) as (far, way):
        client = far.start("run", "--", "sh", "-c", "trap 'exit 5' USR1; echo started; sleep 60 & wait", **PIPES)
        assert client.stdout
        assert b"started\n" == client.stdout.readline()
        identity = record(serving)["id"]
        way.cut()

        assert_engine_failed(client, "invoke history")
    assert "running" == record(serving, identity)["state"]
    serving.engine().api.kill(f"{serving.name}-run-{identity}", "USR1")  # type: ignore[attr-defined]
    assert eventually(lambda: record(serving, identity)["exit_code"] == 5)
    assert b"started\n" == output(serving, identity)


@pytest.mark.thorough
@on_docker
@pytest.mark.parametrize("what", [["worker"], [], ["--run"]])
def test_followed_log_that_breaks_off_is_no_log_that_ended(serving: Project, what: list[str]) -> None:
    """Of a service, of all services, of a run: silence does not count as the end."""
    identity = detached(serving, "--", "sh", "-c", "echo started; sleep 60")
    with cuttable(serving) as (far, way):
        client = far.start("logs", *what, *([identity] if "--run" in what else []), "--follow", **PIPES)
        assert client.stdout
        assert client.stdout.readline()
        way.cut()

        assert_engine_failed(client, "docker version")
    serving.runs.stop(identity, lambda _: None)


@pytest.mark.thorough
@on_docker
def test_stop_that_lost_the_daemon_has_stopped_all_the_same(serving: Project) -> None:
    """The daemon finishes the stop without the client."""
    identity = detached(
        serving, "--", "sh", "-c", "trap 'echo leaving; sleep 2; exit 3' TERM; echo on; sleep 60 & wait"
    )
    assert eventually(lambda: b"on" in output(serving, identity))
    with cuttable(serving) as (far, way):
        client = far.start("stop", identity, **PIPES)
        assert eventually(lambda: b"leaving" in output(serving, identity))
        way.cut()

        waiting = f"twelfth: run {identity} has 10 s to exit after TERM; then it is killed\n"
        assert_engine_failed(client, "docker version", before=waiting)
    assert eventually(lambda: record(serving, identity)["exit_code"] == 3)
    assert "stopped" == record(serving, identity)["state"]


@pytest.mark.thorough
@on_docker
def test_up_that_lost_the_daemon_is_repeated(project: Project) -> None:
    """Everything that was created stays, and the second `up` creates the rest."""
    with cuttable(project) as (far, way):
        client = far.start("up", **PIPES)
        assert client.stdout
        assert any(line.startswith(b"Create redis-1") for line in client.stdout)
        way.cut()

        assert_engine_failed(client, "docker version")
    assert 0 == project.invoke("up").returncode
    assert [] == project.plan()


SMALL = """
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS base
RUN mkdir /small && cp -L --parents /bin/sh /bin/sleep $(ldd /bin/sh /bin/sleep | grep -o '/[^ :]*[^ :]') /small
FROM scratch
COPY --from=base /small /
"""
"""A release with little but a shell: to copy the usual one to another daemon takes long."""


@pytest.mark.thorough
@on_docker
def test_records_outlive_a_daemon_and_what_ran_is_recorded_as_ended(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is stopped, then one that is killed: each client fails, each record is correct."""
    (project.directory / "Dockerfile").write_text(SMALL, "utf-8")
    release = project.invoke("build").stdout.split()[-1]
    with daemon.daemon() as own:
        own.load(project.engine().api, f"twelfth:{release}")  # type: ignore[attr-defined]
        far = replace(project, environment=project.environment | {"DOCKER_HOST": own.url})
        monkeypatch.setenv("DOCKER_HOST", own.url)
        assert 5 == run(far, "--release", release, "--", "sh", "-c", "echo kept; exit 5").returncode
        (kept,) = records(far)
        for number in (signal.SIGTERM, signal.SIGKILL):
            client = far.start("run", "--release", release, "--", "sh", "-c", "echo on; sleep 60", **PIPES)
            assert client.stdout
            assert b"on\n" == client.stdout.readline()
            own.end(number)
            assert 1 == ended(client)[1].count("\n")
            assert client.returncode in {125, 137, 143}
            own.start()
            assert "failed" == record(far)["state"]
            assert record(far)["exit_code"] in {137, 143, 255}
        assert kept == records(far)[0]
        assert "kept\n" == far.invoke("logs", "--run", kept["id"]).stdout


def limited(most: int) -> dict[str, Any]:
    """Return the pipes of a client that cannot write files larger than `most` bytes; its children cannot either."""
    return PIPES | {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))}


@on_local
def test_run_on_a_full_disk_ends_as_it_would_and_the_loss_is_told(serving: Project) -> None:
    """The client gets every byte, the record the true exit code; both outputs warn that not all is kept."""
    script = "head -c 300000 /dev/zero; echo note >&2; exit 7"
    client = serving.start("run", "--", "sh", "-c", script, **limited(100_000))
    out, err = client.communicate(timeout=60)

    assert (7, bytes(300_000)) == (client.returncode, out)
    assert re.fullmatch(r"note\ntwelfth: the rest of this output was not recorded: .+; see: df -h\n", err.decode())
    assert (7, "failed") == (record(serving)["exit_code"], record(serving)["state"])
    kept = serving.invoke("logs", "--run", record(serving)["id"])
    assert "" == kept.stdout.strip("\0")
    assert re.fullmatch(r"twelfth: the rest of this output is not recorded: .+; see: df -h\n", kept.stderr)


@pytest.mark.thorough
@on_local
@pytest.mark.parametrize("room", [1, 511])
def test_run_that_could_not_be_recorded_is_not_started(serving: Project, room: int) -> None:
    """No room for its record, or for its exit code: refused in one line, and nothing is left."""
    before = records(serving)
    client = serving.start("run", "--", "true", **limited(room))

    assert_engine_failed(client, "File too large")
    assert before == records(serving)


@pytest.mark.thorough
def test_two_stops_at_once_are_one(serving: Project) -> None:
    """Both wait until a slow run has exited, and report its exit code."""
    identity = detached(serving, "--", "sh", "-c", "trap 'sleep 2; exit 3' TERM; echo on; sleep 60 & wait")
    assert eventually(lambda: b"on" in output(serving, identity))
    clients = [serving.start("stop", identity, **PIPES) for _ in range(2)]
    said = [(client.communicate(timeout=60)[0], client.returncode) for client in clients]

    assert [(f"{identity} stopped, exit code 3\n".encode(), 0)] * 2 == said
    assert ("stopped", 3) == (record(serving, identity)["state"], record(serving, identity)["exit_code"])


@pytest.mark.thorough
@on_local
def test_stop_is_said_once_to_a_run_that_takes_its_time(serving: Project) -> None:
    """A second TERM would disturb the handler of the first."""
    script = "trap 'echo told' TERM; echo on; for i in 1 2 3 4 5 6; do sleep 0.5 & wait; wait; done"
    identity = detached(serving, "--", "sh", "-c", script)
    assert eventually(lambda: b"on" in output(serving, identity))
    serving.invoke("stop", identity)

    assert "on\ntold\n" == serving.invoke("logs", "--run", identity).stdout


@pytest.mark.thorough
def test_run_outlives_its_worker_and_keeps_its_network(serving: Project) -> None:
    """It is killed, then replaced by another release: Redis still answers the run by its name."""
    script = (
        "import os, redis, sys\n"
        "print('on', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(redis.Redis(host=os.environ['HOST_REDIS'], port=int(os.environ['PORT_REDIS'])).ping())\n"
    )
    client = serving.start("run", "--", "python", "-c", script, **(PIPES | {"stdin": subprocess.PIPE}))
    assert client.stdout
    assert b"on\n" == client.stdout.readline()
    engine = serving.engine()
    engine.remove_replica(engine.replicas("worker")[0])
    app = serving.directory / "service" / "app.py"
    app.write_text(app.read_text("utf-8") + "\n# another release\n", "utf-8")
    assert 0 == serving.invoke("up").returncode

    assert (b"True\n", b"") == client.communicate(b"go\n", timeout=60)
    assert 0 == client.returncode


@pytest.mark.parametrize("typed", [b"", b"print(len('half a line"])
def test_prompt_whose_client_was_killed_ends(serving: Project, typed: bytes) -> None:
    """Its input ends, as without a terminal; a half typed line is not entered."""
    terminal = on_terminal(serving, ["console"], b">>> ", typed)
    identity = record(serving)["id"]
    serving.clients[-1].kill()

    assert eventually(lambda: record(serving, identity)["state"] == "done")
    assert b"Error" not in output(serving, identity)
    os.close(terminal)


@pytest.mark.thorough
def test_run_on_a_terminal_that_asks_nothing_outlives_its_killed_client(serving: Project) -> None:
    """It ignores the end of its input."""
    terminal = on_terminal(serving, ["run", "--", "sh", "-c", "echo on; sleep 3; exit 4"], b"on", b"")
    identity = record(serving)["id"]
    serving.clients[-1].kill()

    assert eventually(lambda: record(serving, identity)["exit_code"] == 4)
    assert b"on\n" == output(serving, identity).replace(b"\r", b"")
    os.close(terminal)


def on_terminal(project: Project, words: list[str], mark: bytes, typed: bytes) -> int:
    """Start a client on a terminal, type after the mark, wait for the echo, and return the terminal."""
    terminal, line = pty.openpty()
    project.start(*words, stdin=line, stdout=line, stderr=line)
    os.close(line)
    assert mark in read_until(terminal, mark)
    if typed:
        os.write(terminal, typed)
        assert typed in read_until(terminal, typed)
    return terminal


@pytest.mark.thorough
@on_local
def test_supervisord_that_was_killed_is_told_in_one_line(project: Project) -> None:
    """By each command; `up` starts it again."""
    project.up()
    supervisor = project.engine().supervisor  # type: ignore[attr-defined]
    os.kill(int((supervisor.home / "supervisord.pid").read_text("utf-8")), signal.SIGKILL)
    assert eventually(lambda: not supervisor.is_up())

    with pytest.raises(EngineError, match=r"supervisord does not answer .*; try: invoke up"):
        supervisor.start_program("worker-1")
    assert 0 == project.invoke("up").returncode


@pytest.mark.thorough
@on_local
def test_release_that_does_not_run_without_containers_is_refused(project: Project) -> None:
    """A service without `x-local`: one line with the command to type, exit code 125."""
    compose = project.directory / "docker-compose.yml"
    text = compose.read_text("utf-8")
    compose.write_text(re.sub(r"    x-local:\n      port.*?\n\n", "\n", text, flags=re.DOTALL), "utf-8")
    release = project.invoke("build").stdout.split()[-1]
    done = project.invoke("run", "--release", release, "--", "true")

    assert (125, 1) == (done.returncode, done.stderr.count("\n"))
    assert "worker does not run on this engine" in done.stderr
