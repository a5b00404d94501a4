"""The files of a local stack: permissions, two processes that create them at once, and a moved folder."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, cast

import pytest

from bench import hits
from tests.conftest import make_project
from tests.runs.client import run
from twelfth.engines import tcp
from twelfth.engines.json_file import read_json, write_json
from twelfth.engines.local import supervisord
from twelfth.engines.local.engine import Local
from twelfth.errors import EngineError
from twelfth.model.service import Local as LocalSettings
from twelfth.model.service import Service
from twelfth.model.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Project

MARK = "correct-horse"
ODD = "100% a; b"
"""A folder's name with characters that are special in supervisor's configuration files."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a local stack that was brought up with umask 0, with a secret for the worker."""
    directory = tmp_path_factory.mktemp("shared") / ODD
    directory.mkdir()
    project = make_project("local", directory)
    file = directory / "docker-compose.yml"
    text, key = file.read_text("utf-8"), "      REDIS_URL:"
    assert 1 == text.count(key)
    file.write_text(text.replace(key, f"      TOKEN: {MARK}\n{key}"), "utf-8")
    umask = os.umask(0)
    try:
        project.up()
        yield project
    finally:
        os.umask(umask)
        project.end()


def home(project: Project) -> Path:
    """Return the directory of the stack's processes."""
    return cast("Local", project.engine()).home


def open_to_others(path: Path) -> str:
    """Return the permissions of other users than the owner, as octal digits."""
    return f"{path.stat().st_mode & 0o077:02o}"


def test_only_the_owner_can_read_a_file_with_a_secret(shared: Project) -> None:
    """The environment of a service, its output and its data can contain a password."""
    run(shared, "--", "sh", "-c", "echo $TOKEN")
    with_secret = [path for path in home(shared).rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]

    assert {"worker-1.json", "output"} == {path.name for path in with_secret}
    assert ["00"] == [open_to_others(path) for path in with_secret if path.name == "worker-1.json"]
    assert "00" == open_to_others(home(shared))


def test_only_the_owner_can_control_supervisord(shared: Project) -> None:
    """A user who can write to its socket can run any command as its owner."""
    assert "00" == open_to_others(home(shared) / "supervisor.sock")


def test_release_cannot_be_written(shared: Project) -> None:
    """Editing the running release would make it another release with the same name."""
    releases = home(shared) / "releases"
    paths = [releases, *releases.rglob("*")]

    assert len(paths) > 10
    assert set() == {path for path in paths[1:] if path.stat().st_mode & 0o222}


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_the_owner_can_read_a_json_file(tmp_path: Path, umask: int) -> None:
    """The umask makes no difference."""
    previous = os.umask(umask)
    try:
        write_json(tmp_path / "spec.json", {"TOKEN": MARK})
    finally:
        os.umask(previous)

    assert 0o600 == (tmp_path / "spec.json").stat().st_mode & 0o777


def test_release_that_another_process_has_just_copied_is_used(tmp_path: Path) -> None:
    """The second copy leaves no other directory."""
    engine = cast("Local", make_project("local", tmp_path).engine())
    worker = engine.stack.service("worker")
    assert worker
    for _ in range(2):
        engine.ensure_image(worker, lambda _: None)

    assert [worker.image.rpartition(":")[2]] == [path.name for path in engine.releases_directory.iterdir()]


def test_process_that_could_not_be_started_leaves_nothing(tmp_path: Path) -> None:
    """There is no file of it, and no supervisord."""
    engine = cast("Local", make_project("local", tmp_path).engine())
    redis = engine.stack.service("redis")
    assert redis
    (engine.home / "ports.json").mkdir(parents=True)
    with pytest.raises(EngineError, match=r"cannot write .*ports\.json"):
        engine.create_replica(redis, 1)

    assert [] == list((engine.home / "services").glob("*"))
    assert not engine.supervisor.is_up()


@pytest.mark.usefixtures("state_of_test")
def test_process_of_a_service_with_a_dot_in_its_name_leaves_nothing(tmp_path: Path) -> None:
    """The text after the dot is part of the name."""
    service = Service("my.app", "app", local=LocalSettings(("sleep", "600")), stop_grace=1)
    engine = Local(Stack("p", tmp_path, (service,)))
    engine.remove_replica(engine.create_replica(service, 1))

    assert [] == list((engine.home / "services").iterdir())
    assert () == engine.replicas("my.app")


@pytest.mark.parametrize("text", ["{", "[]", '{"recipe": 5}', '{"recipe": null}'])
def test_process_with_a_garbled_file_is_replaced(tmp_path: Path, text: str) -> None:
    """Its settings are unknown, so all of them count as changed."""
    project = make_project("local", tmp_path)
    services = home(project) / "services"
    services.mkdir(parents=True)
    (services / "redis-1.json").write_text(text, "utf-8")

    unknown = "command, directory, healthcheck, healthcheck_timeout, logging, restart, stop_grace_period"
    assert f"Replace redis-1 ({unknown} changed)" in project.plan()


def test_stopped_supervisord_is_an_error_within_a_time_limit(shared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts connections and never answers. It is woken after 5 s, so that a client without a limit fails."""
    monkeypatch.setattr(supervisord, "ANSWER_WITHIN", 0.2)
    process = int((home(shared) / "supervisord.pid").read_text("utf-8"))
    os.kill(process, signal.SIGSTOP)
    waker = threading.Timer(5, os.kill, (process, signal.SIGCONT))
    waker.start()
    try:
        with pytest.raises(EngineError) as failed:
            shared.engine().observe()
    finally:
        waker.cancel()
        os.kill(process, signal.SIGCONT)

    what = f"supervisord (process {process}) does not answer in 0.2 s"
    assert f"{what}; if it is stopped: kill -CONT {process}, else: kill -9 {process}; invoke up" == str(failed.value)
    assert shared.engine().observe().replicas


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Return a local stack whose state directory was moved while it was up."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "old"))
    (tmp_path / "project").mkdir()
    project = make_project("local", tmp_path / "project")
    assert "Hello World! 1 times." == hits.sentence(project.up())
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new"))
    project.environment["XDG_STATE_HOME"] = str(tmp_path / "new")
    yield project
    project.end()


def test_up_repairs_a_moved_state_directory_which_runs_refuse(moved: Project) -> None:
    """Processes that were started in the old directory are replaced, with the cause; the data stays."""
    refused = run(moved, "--", "true")
    assert (125, 1) == (refused.returncode, refused.stderr.count(b"\n"))
    assert refused.stderr.startswith(b"twelfth: worker-1 was started from ")
    assert refused.stderr.endswith(b"which no longer exists; try: invoke up\n")

    assert "Hello World! 2 times." == hits.sentence(moved.up())
    release_command = moved.steps()[1]
    assert (
        "(the running release is not ready: its healthcheck failed: [Errno 2] " in release_command
    )  # its directory is gone
    assert [
        "Replace redis-1 (command, directory changed)",
        release_command,
        "Create worker-1 (directory changed)",
        "Wait for worker-1 (until it is ready)",
        "Watch worker-1 for 0.2 s (before the old worker-1 is removed)",
        "Remove worker-1 (replaced by the new one)",
    ] == moved.steps()
    assert [] == moved.plan()
    assert 0 == run(moved, "--", "python", "-c", "import service").returncode


def test_stack_with_a_moved_state_directory_can_be_taken_down(moved: Project) -> None:
    """No process that was started in the old directory survives, also without an `up`."""
    taken = [int(moved.environment["PORT"]), read_json(home(moved) / "ports.json")["redis"]]
    assert all(tcp.why_taken("127.0.0.1", port) for port in taken)
    moved.down()

    assert ["", ""] == [tcp.why_taken("127.0.0.1", port) for port in taken]
    assert not home(moved).exists() or not cast("Local", moved.engine()).supervisor.is_up()
