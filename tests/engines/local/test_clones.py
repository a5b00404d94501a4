"""A local stack belongs to its project, not to a checkout: clones share it, and it survives them."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from bench import hits
from tests.conftest import eventually, make_project
from tests.scenarios.load import change
from twelfth.engines.json_file import read_json, write_json
from twelfth.stack.status import require_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Project
    from twelfth.engines.local.engine import Local


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a clone of a checkout that was removed after two deploys with two workers and one hit."""
    directory = tmp_path_factory.mktemp("checkouts")
    (directory / "first").mkdir()
    project = make_project("local", directory / "first")
    assert "Hello World! 1 times." == hits.sentence(project.up())
    change(project, "\n# the second release")
    assert 0 == project.invoke("up", "--scale", "worker=2").returncode
    shutil.copytree(directory / "first", directory / "clone", ignore=shutil.ignore_patterns(".twelfth"))
    shutil.rmtree(directory / "first")
    project.directory = directory / "clone"
    yield project
    project.end()


def test_clone_has_nothing_to_deploy(clone: Project) -> None:
    """The same files make the same release, which is already copied; the number of workers is remembered."""
    assert "nothing to do\n" == clone.invoke("--dry", "up").stdout


def test_data_and_processes_survive_the_checkout(clone: Project) -> None:
    """All of their files are in the state directory."""
    assert "Hello World! 2 times." == hits.sentence(require_address(clone.engine()))
    assert 0 == clone.invoke("status").returncode


def test_another_directory_with_the_same_project_is_named(clone: Project, tmp_path: Path) -> None:
    """It may be another project of this name; a directory that no longer exists is not of interest."""
    origin = cast("Local", clone.engine()).home / "directory"
    assert "was deployed from" not in clone.invoke("status").stderr
    recorded = origin.read_text("utf-8")
    origin.write_text(f"{tmp_path}\n", "utf-8")
    status = clone.invoke("status")
    origin.write_text(recorded, "utf-8")

    assert f"twelfth: the stack {clone.name} was deployed from {tmp_path}, and this" in status.stderr
    assert 0 == status.returncode


def test_run_from_a_clone_starts_in_the_deployed_release(clone: Project) -> None:
    """It has the worker's code and environment, and its record."""
    run = clone.invoke("run", "--", "python", "-c", "import service; print(service.__file__)")

    release = cast("Local", clone.engine()).releases_directory / clone.stack.release
    assert (0, f"{release}/service/__init__.py\n") == (run.returncode, run.stdout), run.stderr
    assert clone.stack.release in clone.invoke("history").stdout


def test_clones_exclude_each_other(clone: Project, tmp_path: Path) -> None:
    """The lock belongs to the stack."""
    engine = clone.engine()
    with engine.with_stack(replace(engine.stack, directory=tmp_path)).state.lock("deploying"):
        refused = clone.invoke("scale", "worker=1")

    assert 125 == refused.returncode
    assert re.search("the stack is locked by .+ \\(deploying since .+\\)", refused.stderr)


def test_rollback_from_a_clone_goes_to_the_release_before(clone: Project) -> None:
    """The next `up` deploys the files again, although `git clean -xfd` removes what `rollback` wrote."""
    first, second = (release.id for release in reversed(clone.engine().releases()))
    back = clone.invoke("rollback")
    shutil.rmtree(clone.directory / ".twelfth")

    assert (0, True) == (back.returncode, f"release {first} is deployed" in back.stdout), back.stderr
    assert {first} == {replica.release for replica in clone.engine().replicas("worker")}
    assert 0 == clone.invoke("up").returncode
    assert [second] * 2 == [replica.release for replica in clone.engine().replicas("worker")]


def test_process_whose_interpreter_was_removed_is_replaced(clone: Project) -> None:
    """It was in a virtual environment of the checkout; until the next `up`, runs use that of the command."""
    engine = cast("Local", clone.engine())
    for path in (engine.home / "services").glob("worker-*.json"):
        spec = read_json(path)
        write_json(path, spec | {"environment": {**spec["environment"], "PATH": "/removed/bin:/bin"}})

    assert 0 == clone.invoke("run", "--", "python", "-c", "import redis").returncode
    assert "(interpreter changed)" in " ".join(clone.plan())


def test_process_whose_interpreter_was_removed_can_be_started_again(clone: Project) -> None:
    """An interrupted replacement restores it; supervisord would start it with a program that is gone."""
    engine = cast("Local", clone.engine())
    (worker,) = engine.replicas("worker")[:1]
    engine.stop_replica(worker)
    for path in (engine.home / "services").glob("worker-*.json"):
        spec = read_json(path)
        write_json(path, spec | {"environment": {**spec["environment"], "PATH": "/removed/bin:/bin"}})
    for path in engine.home.rglob("worker-*.conf"):
        path.write_text(path.read_text("utf-8").replace(sys.executable, "/removed/bin/python"), "utf-8")
    engine.start_replica(worker)

    assert eventually(lambda: clone.engine().replicas("worker")[0].is_running)
    assert eventually(lambda: clone.engine().check_health(clone.engine().replicas("worker")[0]).is_ready)
