"""The commands about running services, on the engine in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.cli.typed import deployed

if TYPE_CHECKING:
    from tests.cli.typed import Project


@pytest.mark.parametrize("dashes", [(), ("--",)])
@pytest.mark.parametrize(
    ("options", "words", "expected"),
    [
        ((), ("echo", "-n", "a  b", "--help"), (0, "-n a  b --help\n", "")),
        ((), ("sh", "-c", "exit 3"), (3, "", "")),
        (("-T", "-e", "A=b c"), ("printenv", "A"), (0, "b c\n", "")),
        (("-iTe", "A=b"), ("printenv", "A"), (0, "b\n", "")),
        (("--env=A=b", "--index", "1"), ("printenv", "A"), (0, "b\n", "")),
        ((), ("sh", "-c", "echo out; echo err >&2"), (0, "out\n", "err\n")),
    ],
)
def test_exec_passes_words_and_streams(
    project: Project,
    options: tuple[str, ...],
    words: tuple[str, ...],
    expected: tuple[int, str, str],
    dashes: tuple[str, ...],
) -> None:
    """As they were typed, with `--` or without; it keeps no record."""
    assert expected == project.typed("exec", *options, "app", *dashes, *words)
    assert expected == project.typed("exec", "app", *options, *dashes, *words)
    assert [] == project.records()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("app",), 2, "cannot execute: no command was given. Try: X exec SERVICE COMMAND"),
        (("db", "ls"), 125, "cannot execute in db: it is not running. Try: X ps --all"),
        (("--index", "2", "app", "ls"), 125, "cannot execute in app-2: it is not running. Try: X ps --all"),
    ],
)
def test_exec_that_is_impossible(project: Project, words: tuple[str, ...], code: int, message: str) -> None:
    """One line names what to type."""
    assert (code, "", f"twelfth: {message}\n") == project.typed("exec", *words)


def test_help_of_exec_shows_its_words_without_dashes(project: Project) -> None:
    """As they are typed."""
    assert project.typed("exec", "--help")[1].splitlines()[0].endswith(" exec SERVICE [OPTIONS] COMMAND [ARG…]")


def test_service_is_stopped_started_and_restarted(project: Project) -> None:
    """Each is a change in the history, and `status` fails meanwhile."""
    deployed(project)  # so commands about runs read no Compose file
    assert (0, "Stop app-1 (stop)\n", "") == project.typed("--dry", "stop", "app")
    code, out, _ = project.typed("stop", "app")
    assert (0, "service app stopped. To start again: X start app") == (code, out.splitlines()[-1])
    assert "stopped" in project.typed("ps", "-a")[1]
    code, out, _ = project.typed("status")
    assert (1, True) == (code, "stopped" in out)
    assert (0, "Start app-1 (stopped)\n", "") == project.typed("--dry", "restart")

    assert 0 == project.typed("start")[0]
    assert (0, "nothing to start\n", "") == project.typed("start", "app")
    assert (0, "Stop app-1 (restart)\nStart app-1 (restart)\n", "") == project.typed("--dry", "restart", "app")
    assert 0 == project.typed("restart", "--ready-within", "5", "app")[0]
    history = project.typed("history")[1]
    assert all(f" {change}" in history for change in ("stop app", "start", "restart app"))


def test_stop_of_a_run_wins_over_a_service(project: Project) -> None:
    """The output shows which was stopped."""
    _, run_id, _ = project.typed("run", "-d", "--", "sleep", "60")
    project.engine.world.runs["app"] = project.engine.world.runs.pop(run_id.strip())
    project.engine.world.runs["app"].request = replace(project.engine.world.runs["app"].request, id="app")

    code, out, errors = project.typed("stop", "app")
    assert (0, "app stopped, exit code 143\n") == (code, out)
    assert errors.endswith("this was a run; the service app is unchanged. Try: X ps\n")
    assert project.engine.replicas("app")[0].is_running


def test_run_that_has_ended_does_not_win_over_a_service(project: Project) -> None:
    """Also in the plan."""
    _, run_id, _ = project.typed("run", "-d", "--", "true")
    run = project.engine.world.runs["app"] = project.engine.world.runs.pop(run_id.strip())
    run.request = replace(run.request, id="app")
    assert 0 == project.typed("wait", "app")[0]

    assert (0, "Stop app-1 (stop)\n", "") == project.typed("--dry", "stop", "app")
    assert "service app stopped" in project.typed("stop", "app")[1]


def test_name_of_a_service_wins_over_the_beginning_of_an_id(project: Project) -> None:
    """A service may be called db."""
    _, run_id, _ = project.typed("run", "-d", "--", "sleep", "60")
    project.engine.world.runs["app12345"] = project.engine.world.runs.pop(run_id.strip())
    request = replace(project.engine.world.runs["app12345"].request, id="app12345")
    project.engine.world.runs["app12345"].request = request

    assert (0, "Stop app-1 (stop)\n", "") == project.typed("--dry", "stop", "app")
    assert (0, "Stop run app12345 (stop)\n", "") == project.typed("--dry", "stop", "app1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("restart", "nosuch"), "cannot restart nosuch: there is no such service; there are app, db. Try: X ps --all"),
        (("start", "db"), "cannot start db: it has no replicas. Try: X up"),
        (("start", "app", "--wait"), "--wait comes after a service: options come first. Try: X --help start"),
    ],
)
def test_services_that_cannot_be_changed(project: Project, words: tuple[str, ...], message: str) -> None:
    """One line names the reason."""
    code, out, errors = project.typed(*words)

    assert code
    assert ("", f"twelfth: {message}\n") == (out, errors)
