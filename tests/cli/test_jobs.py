"""Jobs and programs as commands, on the engine in memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.typed import PROGRAM, Project, deployed
from twelfth.runs.fire import Fire


def no_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each use of Compose fail the test."""

    def read(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("twelfth.compose.cli.read", read)


def test_jobs_and_programs_are_listed_with_their_help(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Compose after `up`. A name that cannot be typed is reported."""
    for name in ("up.py", "config.py"):
        (project.directory / "admin" / name).write_text(PROGRAM if name == "up.py" else '"""Helpers."""\n')
    code, listed, errors = project.typed("--list")

    assert 0 == code
    for line in (
        "nightly-report   Write the report",
        "fill-queue       Fill the queue.",
        "first            Run echo fi",
    ):
        assert line in listed
    assert "batch" not in listed
    hidden = "admin/up.py is hidden by the command up. Rename it, or try: X run -- python -m admin.up"
    assert f"twelfth: {hidden}\n" == errors

    deployed(project)
    no_compose(monkeypatch)
    assert listed == project.typed("--list")[1]
    assert {"nightly-report", "needs-db"} <= {*project.typed("--complete", "--", "twelfth", "n")[1].split()}


def test_commands_that_are_no_jobs_do_not_read_the_compose_file(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is known where the stack is."""
    (project.directory / "admin" / "plain.py").write_text(PROGRAM)
    deployed(project)
    no_compose(monkeypatch)

    assert 127 == project.typed("plain", "--", "a")[0]  # the engine in memory has no Python
    assert 0 == project.typed("run", "--", "true")[0]
    assert [("plain", ("python", "-m", "admin.plain", "a")), ("", ("true",))] == [
        (record.job, record.command) for record in project.records()
    ]


def test_invalid_compose_file_breaks_no_other_command(project: Project) -> None:
    """The jobs are unknown then."""
    (project.directory / "compose.yaml").write_text("services: {app: 1}\nx-jobs: {}\n")

    code, listed, errors = project.typed("--list")
    assert (0, 1, True) == (code, errors.count("\n"), "  fill-queue " in listed)
    assert errors.startswith("twelfth: the commands of jobs are missing: cannot read compose.yaml: ")
    code, _, errors = project.typed("first")
    assert 2 == code
    assert "unknown command first" in errors.splitlines()[1]


def test_jobs_before_it_run_first(project: Project) -> None:
    """Each is a run; only the output of the last one is standard output."""
    assert (0, "report a b\n", "first\n") == project.typed("nightly-report", "--reason", "ticket 7", "--", "a b")
    assert [("first", "before nightly_report", ()), ("nightly_report", "ticket 7", ("LEVEL",))] == [
        (record.job, record.reason, record.overrides) for record in project.records()
    ]
    request = next(run.request for run in project.engine.world.runs.values() if run.request.job == "nightly_report")
    assert 300 == request.timeout
    assert request.changes

    code, out, errors = project.typed("stuck")
    assert (3, "") == (code, out)
    assert errors.endswith("twelfth: cannot start stuck: fails, which runs before it, exited with code 3\n")
    assert ["first", "nightly_report", "fails"] == [record.job for record in project.records()]


def test_plan_of_a_job_shows_the_jobs_before_it(project: Project) -> None:
    """Nothing is asked or started."""
    code, plan, _ = project.typed("--dry", "nightly-report")

    assert (0, ["+ echo first", "+ echo report"]) == (code, [line for line in plan.splitlines() if " echo " in line])
    assert 0 == project.typed("--dry", "fill-queue", "--reason", "x")[0]
    assert [] == project.records()


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ("fill-queue", 2, "cannot start fill_queue: it requires a reason. Try: X fill-queue --reason TEXT"),
        ("fill-queue --reason x", 2, "cannot ask for confirmation: standard input is not a terminal. To continue with"),
        ("scheduled", 2, "cannot start scheduled: its triggers.manual is false in compose.yaml, so only its schedule"),
        ("after-it", 2, "cannot start scheduled: its triggers.manual is false in compose.yaml, so only its schedule"),
        ("screen", 2, "cannot start screen: its x-twelfth.tty is true, so it needs a terminal. Start it in one, "),
        ("silent --tty", 2, "cannot start silent with --tty: its x-twelfth.tty is false. Omit --tty"),
        ("needs-db", 125, "cannot start needs_db: it depends on db, which is not running. Try: X up"),
        ("empty", 2, "cannot start empty: it has no command in compose.yaml. Add command: [PROGRAM, ARG]"),
        ("wrong", 2, "compose.yaml: jobs.wrong.x-twelfth.keep is 0. Try: write a number, 1 or more"),
        ("batch", 2, "cannot start batch: its profile large is not enabled. Try: COMPOSE_PROFILES=large X batch"),
        ("none", 2, "unknown command none. Try: X --list"),
    ],
)
def test_start_that_a_job_does_not_allow(project: Project, words: str, code: int, why: str) -> None:
    """One line, and nothing is started."""
    exit_code, _, errors = project.typed(*words.split())

    assert (code, 1) == (exit_code, errors.count("\n"))
    assert errors.startswith(f"twelfth: {why}")
    assert not project.engine.world.runs


def test_program_with_an_entry_has_its_settings(project: Project) -> None:
    """Its command is the program's, unless the entry has one."""
    assert 127 == project.typed("fill-queue", "--reason", "ticket 7", "--yes", "--", "a")[0]
    [record] = project.records()
    command = ("python", "-m", "admin.fill_queue", "a")
    assert ("fill_queue", command, "ticket 7") == (record.job, record.command, record.reason)


@pytest.mark.parametrize(
    ("job", "command"), [("scheduled", "scheduled"), ("fill_queue", "fill-queue"), ("after_it", "after-it")]
)
def test_fire_of_a_schedule(project: Project, monkeypatch: pytest.MonkeyPatch, job: str, command: str) -> None:
    """It has its own id, no question, and a reason; a job that only its schedule starts may not run before others."""
    monkeypatch.setenv("TWELFTH_FIRE", Fire(job, "0a0b0c0d").to_environment()["TWELFTH_FIRE"])
    project.typed(command)
    expected = {"scheduled": [("0a0b0c0d", "")], "fill_queue": [("0a0b0c0d", "schedule")], "after_it": []}

    assert expected[job] == [(record.id, record.reason) for record in project.records()]
    assert all(record.trigger == "schedule" for record in project.records())


def test_two_jobs_that_are_typed_in_the_same_way_are_an_error_of_up_and_config(project: Project) -> None:
    """The first one is started."""
    jobs = "{a-b: {command: [echo, first]}, a_b: {command: [echo, second]}}"
    (project.directory / "compose.yaml").write_text(f"services: {{app: {{image: a}}}}\nx-jobs: {jobs}\n")
    for command in ("up", "config"):
        code, _, errors = project.typed(command)
        assert (2, "twelfth: the job a_b is hidden by the job a-b. Rename the job\n") == (code, errors)

    assert (0, "first\n") == project.typed("a-b")[:2]


def test_run_that_has_waited_is_made_from_the_replica_of_then(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy may have replaced the one of before."""
    monkeypatch.setattr("twelfth.runs.concurrency.WAIT_EVERY", 0.01)
    (project.directory / "compose.yaml").write_text(
        "services: {app: {image: a}}\nx-jobs: {turn: {command: [sleep, '0.5'], x-twelfth: {concurrency: queue}}}\n"
    )
    assert 0 == project.typed("turn", "--detach")[0]
    replicas = project.engine.world.replicas

    def deploy() -> None:
        replicas["app-1"] = replace(replicas["app-1"], id="new")

    timer = threading.Timer(0.2, deploy)
    timer.start()
    code, _, errors = project.typed("turn")
    timer.join()

    assert (0, 1) == (code, errors.count("waiting for run "))
    assert ["app-1-1", "new"] == [run.request.replica.id for run in project.engine.world.runs.values()]


def test_job_can_be_typed_by_its_name(project: Project) -> None:
    """As well as with the dashes of commands; the words for its program stay."""
    assert (0, "report a_b\n") == project.typed("nightly_report", "--reason", "x", "--", "a_b")[:2]
    for words in (("nightly_report", "--help"), ("--help", "nightly_report")):
        code, out, _ = project.typed(*words)
        assert (0, ["nightly-report"]) == (code, out.split()[2:3])


def test_job_with_the_name_of_a_command_is_an_error_of_up_and_config(project: Project) -> None:
    """Other commands work."""
    (project.directory / "compose.yaml").write_text("services: {app: {image: a}}\nx-jobs: {status: {command: [a]}}\n")
    for command in ("up", "config"):
        code, _, errors = project.typed(command)
        assert (2, "twelfth: the job status is hidden by the command status. Rename the job\n") == (code, errors)

    assert 0 == project.typed("run", "--service", "app", "--", "true")[0]


HELPS = {
    "fill-queue": "\nSlowly.\n",
    "parses": "\nThe program, python -m admin.parses:\n\npython: not found\n",
}


@pytest.mark.parametrize("name", HELPS)
def test_help_of_a_job_contains_that_of_its_program(project: Project, name: str) -> None:
    """A program that parses no arguments is not started, since it would do its work."""
    text = f"{PROGRAM}import argparse\nargparse.ArgumentParser().parse_args()\n"
    (project.directory / "admin" / "parses.py").write_text(text)
    code, out, errors = project.typed("--help", name)

    assert (0, "Usage: ") == (code, out[:7])
    assert (name == "parses") == bool(project.engine.world.runs)
    assert HELPS[name].strip().splitlines()[0] in out
    assert "Slowly." in out
    assert ("python: not found\n" if name == "parses" else "") == errors
