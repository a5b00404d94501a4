"""A daemon on another machine, over a real sshd: streams, a terminal, a deploy, and a connection that breaks."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually, require_program
from tests.other_project import OtherProject
from twelfth.engines import tcp

if TYPE_CHECKING:
    from collections.abc import Iterator

SSHD = Path("/usr/sbin/sshd")

FILE = """
services:
  app:
    image: ${PYTHON_IMAGE:-python:3.13-slim}
    command: [sleep, "600"]
    init: true
    environment: {CHANGE: "${CHANGE:-}"}
    deploy: {update_config: {monitor: 200ms}}
"""

SSHD_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host
AuthorizedKeysFile {home}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
"""

SSH_CONFIG = """
Host far
  HostName 127.0.0.1
  Port {port}
  IdentityFile {home}/key
  IdentitiesOnly yes
  UserKnownHostsFile {home}/known
  StrictHostKeyChecking accept-new
"""


@pytest.fixture(scope="module")
def project(modern_engine: dict[str, str | None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherProject]:
    """Return a deployed project on the modern engine, which is reached through ssh."""
    require_program(SSHD)
    home = tmp_path_factory.mktemp("ssh")
    port = tcp.free("127.0.0.1")
    for key in ("host", "key"):
        subprocess.run(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / key], check=True)
    (home / "sshd_config").write_text(SSHD_CONFIG.format(port=port, home=home), "utf-8")
    (home / "ssh_config").write_text(SSH_CONFIG.format(port=port, home=home), "utf-8")
    (home / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {home}/ssh_config "$@"\n', "utf-8")
    (home / "ssh").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    (home / "log").touch()
    sshd = subprocess.Popen([SSHD, "-D", "-f", home / "sshd_config", "-E", home / "log"])
    try:
        eventually(lambda: "Server listening" in (home / "log").read_text("utf-8"))
        yield from _deployed(home, Path(str(modern_engine["DOCKER_CONFIG"])).parent / "socket")
    finally:
        sshd.terminate()
        sshd.wait()


def _deployed(home: Path, socket: Path) -> Iterator[OtherProject]:
    directory = home / "project"
    directory.mkdir()
    (directory / "compose.yaml").write_text(FILE, "utf-8")
    path = f"{home}:{os.environ['PATH']}"
    project = OtherProject(directory, DOCKER_HOST=f"ssh://far{socket}", PATH=path)
    project.environment.pop("DOCKER_API_VERSION", None)
    project.printed("up")
    yield project
    project.printed("down", "--volumes", "--history", "--yes")


def command(*words: str) -> list[str]:
    """Return the command line of twelfth."""
    return [sys.executable, "-P", "-m", "twelfth", *words]


def test_streams_are_exact_and_stdin_ends(project: OtherProject) -> None:
    """5 MB go in and come back; stderr is separate, and the exit code is the run's."""
    data = secrets.token_bytes(5_000_000)
    run = subprocess.run(
        command("run", "--", "sh", "-c", "cat; echo error >&2; exit 7"),
        cwd=project.directory,
        env=project.environment,
        input=data,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (data, b"error\n", 7) == (run.stdout, run.stderr, run.returncode)


def test_terminal_is_a_terminal_of_the_same_size(project: OtherProject) -> None:
    """`script` makes one on this side."""
    inside = shlex.join(command("run", "--", "stty", "size"))
    shell = f"stty rows 33 cols 99; {inside}"
    run = subprocess.run(
        ["/usr/bin/script", "-qec", shell, "/dev/null"],
        cwd=project.directory,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "33 99" in run.stdout


@pytest.mark.thorough
def test_deploy_logs_and_history(project: OtherProject) -> None:
    """A changed service is re-created; both runs and deploys are recorded on the other machine."""
    assert "Deploy" in project.printed("up", CHANGE="1")
    assert "1/1" in project.printed("status", CHANGE="1")
    project.printed("run", "--", "echo", "written")

    assert "echo written" in project.printed("history")


@pytest.mark.thorough
def test_ctrl_c_is_for_the_run(project: OtherProject) -> None:
    """A terminal sends it to all processes of the command; the connection stays."""
    client = subprocess.Popen(
        command(
            "run", "--", "sh", "-c", "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.1; done"
        ),
        cwd=project.directory,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert client.stdout
    assert "ready\n" == client.stdout.readline()
    os.killpg(client.pid, signal.SIGINT)

    output, _ = client.communicate(timeout=60)
    assert ("interrupted\n", 5) == (output, client.returncode)


@pytest.mark.thorough
def test_question_about_an_unknown_host_is_asked_once(project: OtherProject) -> None:
    """Although the command connects a second time; without a terminal it is not asked."""
    home = project.directory.parent
    config = (home / "ssh_config").read_text("utf-8").replace("accept-new", "ask").replace(f"{home}/known", "/dev/null")
    programs = home / "asking"
    programs.mkdir()
    (programs / "config").write_text(config, "utf-8")
    (programs / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {programs}/config "$@"\n', "utf-8")
    (programs / "ssh").chmod(0o755)
    path = f"{programs}:{project.environment['PATH']}"
    client = subprocess.Popen(
        ["/usr/bin/script", "-qec", shlex.join(command("status")), "/dev/null"],
        cwd=project.directory,
        env=project.environment | {"PATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert client.stdin
    assert client.stdout
    printed = b""
    while b"(yes/no" not in printed:  # ssh drops what is typed before
        piece = os.read(client.stdout.fileno(), 4096)
        assert piece, printed
        printed += piece
    client.stdin.write(b"no\n")
    client.stdin.flush()
    with client:  # closes its pipes
        printed += client.stdout.read()
    failed = project.twelfth("status", PATH=path)

    assert 1 == printed.count(b"Are you sure you want to continue connecting")
    assert (125, 125) == (client.returncode, failed.returncode)
    assert "Host key verification failed. Try: ssh far docker version" in failed.stderr


@pytest.mark.thorough
def test_context_is_used_without_a_config_file(project: OtherProject, tmp_path: Path) -> None:
    """`docker context create` writes none."""
    environment = {name: value for name, value in project.environment.items() if name != "DOCKER_HOST"}
    environment |= {"DOCKER_CONFIG": str(tmp_path)}
    host = f"host={project.environment['DOCKER_HOST']}"
    docker = str(shutil.which("docker"))
    subprocess.run([docker, "context", "create", "far", "--docker", host], env=environment, check=True)
    run = subprocess.run(
        command("run", "--", "echo", "by context"),
        cwd=project.directory,
        env=environment | {"DOCKER_CONTEXT": "far"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert not (tmp_path / "config.json").exists()
    assert ("by context\n", "", 0) == (run.stdout, run.stderr, run.returncode)


@pytest.mark.thorough
def test_lost_connection_is_an_engine_failure_and_the_run_continues(project: OtherProject) -> None:
    """Every ssh of the client dies; the run is found afterwards."""
    client = subprocess.Popen(
        command("run", "--", "sh", "-c", "echo started; sleep 60"),
        cwd=project.directory,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout
    assert "started\n" == client.stdout.readline()
    children = Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text("utf-8").split()
    for process in children:
        os.kill(int(process), signal.SIGTERM)
    _, error = client.communicate(timeout=60)
    history = project.printed("history")
    [line] = [line for line in history.splitlines() if "echo started" in line]
    project.printed("stop", line.split()[0])

    assert (125, True) == (client.returncode, "it may still be running, see: twelfth history" in error)
    assert "running" in line


def test_host_that_does_not_answer_is_an_error_with_a_command(project: OtherProject) -> None:
    """`auto` never stands for local then."""
    failed = project.twelfth("status", DOCKER_HOST="ssh://127.0.0.1:1")

    assert 125 == failed.returncode
    assert "Connection refused. Try: ssh -p1 127.0.0.1 docker version" in failed.stderr
    assert 1 == len(failed.stderr.splitlines())
