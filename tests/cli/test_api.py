"""The functions that a project's tasks import, and tasks in packages and namespaces."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from twelfth.api import RunResult, run
from twelfth.cli.program import imports_twelfth
from twelfth.errors import MisuseError, RunFailedError

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("state_of_test")
COMPOSE = """
name: nobodys
services:
  worker:
    build: .
    deploy: {update_config: {monitor: 300ms}}
    x-local: {command: [sleep, "60"]}
x-jobs:
  nightly: {command: [sh, -c, "echo $0; exit 6"], x-twelfth: {reason: required}}
"""
TASKS = """
import sys
from invoke import Collection, task
from twelfth import project, run, run_job, up
from twelfth.errors import RunFailedError

@task
def deploy(c):
    "Deploy."
    print("address", repr(up(scale={"worker": 1})))

@task
def runs(c):
    "Start runs."
    script = "import os, sys; sys.stdout.write(os.environ['A'] + sys.stdin.read()); sys.exit(3)"
    words = ["python3", "-c", script]
    result = run(words, environment={"A": "a"}, stdin=b"in", capture=True, reason="test")
    print(result.exit_code, result.stdout, result.stderr)
    print(run(["sh", "-c", "echo shown"]).stdout, flush=True)
    try:
        run(["sh", "-c", "exit 4"], check=True)
    except RunFailedError as error:
        print(error.result.exit_code)
    run(["sh", "-c", "exit 5"], check=True)

@task
def job(c, reason=""):
    run_job("nightly", ["full"], reason=reason)
    print("not reached")

@task
def status(c):
    print("mine")

@task
def reset(c):
    print("reset of db")

ns = project(__file__)
for own in (deploy, runs, job, status):
    ns.add_task(own)
ns.add_collection(Collection("db", reset))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a project with tasks."""
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def typed(directory: Path, *words: str, module: str = "twelfth") -> subprocess.CompletedProcess[str]:
    """Run the program in a directory."""
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *words],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT), "INVOKE_ENGINE": "local"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_tasks_deploy_and_start_runs(directory: Path) -> None:
    """Output is captured or passed on; a failure is the exit code; a job has its rules."""
    try:
        assert "address ''" in typed(directory, "deploy").stdout
        dry, done = typed(directory, "--dry", "runs"), typed(directory, "runs")
        refused, job = typed(directory, "job"), typed(directory, "job", "--reason", "test")
        records = json.loads(typed(directory, "history", "--json").stdout)
    finally:
        typed(directory, "down", "--volumes", "--history", "--yes")

    assert "+++ run on local" in dry.stdout
    assert ("3 b'ain' b''\nshown\nb''\n4\n", 5) == (done.stdout, done.returncode)
    assert re.fullmatch(r"twelfth: run \w+ exited with code 5. Try: twelfth logs --run \w+\n", done.stderr)
    assert (2, 1, True) == (refused.returncode, refused.stderr.count("\n"), "reason" in refused.stderr)
    assert (6, "full\n", "") == (job.returncode, job.stdout, job.stderr)
    assert ["up", *["run"] * 5] == [record["kind"] for record in records]


@pytest.mark.parametrize("module", ["twelfth", "invoke"])
def test_namespaces_and_replaced_commands(directory: Path, module: str) -> None:
    """A task with the name of a command is announced where it is typed or listed."""
    replaced = "twelfth: status: tasks.py replaces twelfth's command\n"
    status, shown, reset = (typed(directory, word, module=module) for word in ("status", "--list", "db.reset"))

    assert ("mine\n", replaced) == (status.stdout, status.stderr)
    assert ("  db.reset" in shown.stdout, replaced) == (True, shown.stderr)
    assert ("reset of db\n", "") == (reset.stdout, reset.stderr)


@pytest.mark.parametrize("module", ["twelfth", "invoke"])
def test_tasks_may_be_a_package(directory: Path, module: str) -> None:
    """The project is the directory above it."""
    (directory / "tasks").mkdir()
    (directory / "tasks.py").rename(directory / "tasks" / "__init__.py")

    assert "reset of db\n" == typed(directory, "db.reset", module=module).stdout
    assert f"directory: {directory}\n" in typed(directory, "config", module=module).stdout


def test_broken_package_is_reported_in_one_line(directory: Path) -> None:
    """With file and line."""
    (directory / "tasks").mkdir()
    (directory / "tasks.py").unlink()
    (directory / "tasks" / "__init__.py").write_text("import twelfth\nfrom tasks import db\n")
    (directory / "tasks" / "db.py").write_text("\n\n1 / 0\n")
    done = typed(directory, "status")

    assert (2, "twelfth: tasks/db.py: line 3: ZeroDivisionError: division by zero\n") == (done.returncode, done.stderr)


def test_tasks_that_only_import_a_function_are_added(directory: Path) -> None:
    """Without `project(__file__)`, `twelfth` still has its commands."""
    (directory / "tasks.py").write_text(TASKS.replace("ns = project(__file__)", "ns = Collection()"))
    shown = typed(directory, "--list").stdout

    assert {"up", "deploy", "db.reset"} <= {*re.findall(r"^  (\S+)", shown, re.MULTILINE)}
    assert not imports_twelfth(directory / "none.py")


def test_import_of_twelfth_is_cheap() -> None:
    """It imports none of its other modules, and not Invoke."""
    code = "import sys, twelfth; print([name for name in sys.modules if name.startswith(('twelfth.', 'invoke'))])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


def test_hints_of_a_script_name_the_program(tmp_path: Path) -> None:
    """The script itself is no program to type commands with."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    code = "from twelfth import up; up()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert (1, True) == (done.returncode, done.stderr.endswith("for a new project: twelfth init\n"))


def test_result_raises_for_a_failure() -> None:
    """With the exit code of the run."""
    RunResult("a", 0).check()
    with pytest.raises(RunFailedError, match="run a exited with code 7") as failure:
        RunResult("a", 7).check()

    assert 7 == failure.value.exit_code


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"command": "echo hi"}, "list of texts"),
        ({"command": ["echo", 1]}, "list of texts"),
        ({"command": []}, "no command"),
        ({"environment": {"A": 7}}, "environment"),
        ({"environment": {"A=": "7"}}, "environment"),
        ({"timeout": 0}, "timeout 0 "),
        ({"timeout": float("nan")}, "timeout nan "),
        ({"timeout": "5m"}, "timeout 5m "),
        ({"stdin": "text"}, "stdin"),
        ({"stdin": None, "capture": True}, "capture"),
    ],
    ids=str,
)
def test_invalid_arguments_are_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], why: str
) -> None:
    """Before anything is started; text as input would wait forever."""
    monkeypatch.chdir(directory)
    with pytest.raises(MisuseError, match=f"^cannot start a run: .*{why}"):
        run(**{"command": ["echo"], **changed})


def test_example_of_the_page_can_be_loaded(directory: Path) -> None:
    """Its tasks are listed."""
    page = (ROOT / "docs" / "adopt.md").read_text("utf-8")
    [example] = [text for text in re.findall("```python\n(.*?)```", page, re.DOTALL) if "def invite" in text]
    (directory / "tasks.py").write_text(example)
    done = typed(directory, "--list")

    assert ("", True, True) == (done.stderr, "  invite " in done.stdout, "  release " in done.stdout)
