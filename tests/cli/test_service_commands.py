"""The commands about running services, on the engine in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.typed import deployed
from twelfth.errors import EngineError
from twelfth.model.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cli.typed import Project
    from twelfth.model.snapshot import Replica
    from twelfth.stack.follow import Follower


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


NEITHER = "there is neither a run nor a service of that name"


def two_services(project: Project, *others: str) -> None:
    """Create a replica of `db`, on which `app` depends, and of others."""
    services = "".join(f', {name}: {{image: "{name}:one"}}' for name in ("db", *others))
    app = '{image: "app:one", depends_on: [db]}'
    (project.directory / "compose.yaml").write_text(f"name: shop\nservices: {{app: {app}{services}}}\n", "utf-8")
    project.engine.world.images += [f"{name}:one" for name in ("db", *others)]
    for name in ("db", *others):
        project.engine.create_replica(Service(name, f"{name}:one"), 1)
    project.engine.world.digests |= {"app:one": "1" * 64, "db:one": "2" * 64}
    deployed(project)


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
        (("start", "app", "--wait"), "start has no option --wait: it always waits. Omit --wait"),
        (
            ("start", "app", "--", "--wait"),
            "cannot start --wait: there is no such service; there are app, db. Try: X ps --all",
        ),
        (("stop", "app", "bd"), "cannot stop bd: there is no such service; there are app, db. Try: X ps --all"),
        (("stop", "apq"), f"cannot stop apq: {NEITHER}. Did you mean app? Try: X ps"),
        (("stop", "none"), f"cannot stop none: {NEITHER}. Try: X ps"),
    ],
)
def test_services_that_cannot_be_changed(project: Project, words: tuple[str, ...], message: str) -> None:
    """One line names the reason."""
    code, out, errors = project.typed(*words)

    assert code
    assert ("", f"twelfth: {message}\n") == (out, errors)
    assert project.engine.replicas("app")[0].is_running


def test_several_services_are_stopped(project: Project) -> None:
    """As one change, the dependent first; each name counts once."""
    two_services(project)
    assert (0, "Stop app-1 (stop)\nStop db-1 (stop)\n", "") == project.typed("--dry", "stop", "db", "app")
    assert project.typed("--dry", "stop", "app", "db", "--dry") == project.typed(
        "--dry", "stop", "--", "app", "db", "app"
    )
    code, out, _ = project.typed("stop", "app", "db")

    assert (0, "services stopped. To start again: X start app db") == (code, out.splitlines()[-1])
    assert " stop app db\n" in project.typed("history")[1]
    assert (1, 0) == (project.typed("status")[0], project.typed("start", "app", "db")[0])


def test_up_refuses_a_service_whose_name_is_a_command(project: Project) -> None:
    """It would deploy all services, and then execute the command."""
    two_services(project, "status")
    why = "up status is ambiguous: status is a service and a command"
    assert (2, "", f"twelfth: {why}. Try: X up --service status\n") == project.typed("--dry", "up", "status")
    assert 0 == project.typed("--dry", "up", "--service", "status")[0]


def test_logs_and_ps_of_several_services(project: Project) -> None:
    """Options may come before the services and after them; other services are left out."""
    two_services(project, "cache")
    project.engine.world.logs |= dict.fromkeys(("app-1", "db-1", "cache-1"), b"one\ntwo\n")
    logs = (0, "db-1  | two\napp-1 | two\n", "")
    assert logs == project.typed("logs", "-n", "1", "db", "app") == project.typed("logs", "db", "app", "--tail", "1")
    assert logs == project.typed("logs", "db", "-n", "1", "app")
    code, out, errors = project.typed("logs", "app", "none")
    assert (2, "") == (code, out)
    assert errors.startswith("twelfth: cannot show logs: none is not a service. Try: X logs SERVICE, with one of app")

    ids = {name: project.engine.replicas(name)[0].id for name in ("db", "app")}
    assert (0, f"{ids['db']}\n{ids['app']}\n", "") == project.typed("ps", "db", "app", "-q")
    assert (
        2,
        "twelfth: there is no service none; there are cache, db, app. Try: X config --services\n",
    ) == project.typed("ps", "none", "app")[::2]


def test_logs_of_several_services_are_followed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the options of the command."""
    two_services(project, "cache")
    followed: list[tuple[Follower, Sequence[Replica]]] = []

    def follow(*arguments: Any) -> tuple[bytes, ...]:
        followed.append(arguments)
        return ()

    monkeypatch.setattr("twelfth.stack.follow.Follower.lines", follow)
    assert (0, "", "") == project.typed("logs", "db", "-fn", "2", "app")

    [(follower, replicas)] = followed
    assert (["db", "app"], 2) == (follower.services, follower.last)
    assert ["db-1", "app-1"] == [replica.name for replica in replicas]


def test_images_of_several_services_are_pulled(project: Project) -> None:
    """Although one cannot be pulled."""
    two_services(project, "cache")
    assert (0, "Pull db:one\nPull app:one\n", "") == project.typed("--dry", "pull", "app", "db")
    assert 2 == project.typed("pull", "app", "none")[0]
    project.engine.world.failures["image db:one"] = EngineError("cannot pull db:one")
    code, out, errors = project.typed("pull", "db", "app")

    assert (125, "twelfth: cannot pull db:one\n") == (code, errors)
    assert "app: app:one is now " in out
    assert "cache" not in out
