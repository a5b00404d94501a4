"""The commands about runs, on the engine in memory."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.typed import Project


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("echo hello", 0)])
def test_wait_exits_with_the_code_of_the_run(project: Project, script: str, code: int) -> None:
    """It prints nothing; a run that has exited already is not waited for."""
    _, run_id, _ = project.typed("run", "-d", "--", "sh", "-c", script)

    for _ in range(2):
        assert (code, "", "") == project.typed("wait", run_id.strip())


def test_wait_exits_with_124_after_the_time_limit(project: Project) -> None:
    """As `run` does."""
    _, run_id, _ = project.typed("run", "-d", "--timeout", "0.05", "--", "sleep", "60")

    assert (124, "", "") == project.typed("wait", run_id.strip())


def test_wait_for_a_run_of_unknown_outcome_is_a_failure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its container was removed before a process saw the exit; until it is certain, it may be about to start."""
    monkeypatch.setattr("twelfth.runs.history.STARTED_WITHIN", timedelta(seconds=0.5))
    _, run_id, _ = project.typed("run", "-d", "--", "sleep", "60")
    project.engine.world.runs.clear()
    why = "the exit code of run {0} is unknown: it is unknown. Try: X history {0}".format(run_id.strip())

    assert (125, "", f"twelfth: {why}\n") == project.typed("wait", run_id.strip())


def test_ctrl_c_stops_waiting_and_not_the_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other clients may wait for it."""
    _, run_id, _ = project.typed("run", "-d", "--", "sleep", "60")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    assert (130, "", "") == project.typed("wait", run_id.strip())
    assert project.records()[0].is_running


@pytest.mark.parametrize("options", [("--no-output",), ("--no-output", "-d")])
def test_run_without_a_copy_of_its_output(project: Project, options: tuple[str, ...]) -> None:
    """The client gets it; the record shows that none was kept, and `logs` reports it."""
    code, out, _ = project.typed("run", *options, "--", "echo", "data")
    (record,) = project.records()

    assert (0, f"{record.id}\n" if "-d" in options else "data\n") == (code, out)
    assert (True, False) == (record.discards_output, record.has_output)
    assert "output    not kept\n" in project.typed("history", record.id)[1]
    code, out, errors = project.typed("logs", "--run", record.id)
    why = f"twelfth: run {record.id} was started without keeping its output. Try: X history {record.id}\n"
    assert (125, "", why) == (code, out, errors)


def test_short_options_of_compose_are_accepted(project: Project) -> None:
    """`-d` detaches a run, `-n` limits the lines of a log, and `-e` sets a variable."""
    assert (0, "debug\n", "") == project.typed("run", "-T", "-e", "LEVEL=debug", "--", "printenv", "LEVEL")
    project.engine.world.logs["app-1"] = b"one\ntwo\n"

    assert (0, "app-1 | two\n", "") == project.typed("logs", "-n", "1", "app")
    assert (0, "app-1 | two\n", "") == project.typed("logs", "app", "--tail", "1")
    assert project.typed("--dry", "up") == project.typed("--dry", "up", "-d", "--build", "--wait")
    assert (0, "Remove app-1 (down)\n", "") == project.typed("--dry", "down", "-v")


def test_user_working_directory_and_volumes_are_requested_differences(project: Project) -> None:
    """With Compose's short options; the record names them."""
    assert (0, "", "") == project.typed("run", "-u", "0", "-w", "/", "-v", ".:/a", "--volume", "/b:/b:ro", "--", "true")
    assert ("user", "volumes", "working_dir") == project.records()[0].overrides
    code, out, errors = project.typed("run", "-v", "a:/a", "--", "true")
    why = "--volume a:/a: no service has a volume a. For a directory, write ./a"
    assert (2, "", f"twelfth: {why}\n") == (code, out, errors)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("cp", "app:/a", "b"), "docker compose cp app:/a b"),
        (("cp", "A=secret", "b"), "docker compose cp --help"),
        (("top", "--", "app"), "docker compose top app"),
        (("images",), "X releases"),
        (("build", "app"), "X build"),
        (("down", "--rmi", "all"), "X prune"),
        (("ps", "--services"), "X config --services"),
        (("logs", "--timestamps", "app"), "docker compose logs --timestamps"),
        (("down", "app"), "X stop app"),
    ],
)
def test_other_commands_of_compose_are_answered_with_what_to_type(
    project: Project, words: tuple[str, ...], hint: str
) -> None:
    """On one line, and without a value of a variable."""
    code, out, errors = project.typed(*words)

    assert (2, "", 1) == (code, out, errors.count("\n"))
    assert errors.endswith(f". Try: {hint}\n")
    assert "secret" not in errors


TWO_SERVICES = 'name: shop\nservices: {app: {image: "app:two"}, db: {image: "db:one"}}\n'


def test_up_of_a_service_deploys_no_other(project: Project) -> None:
    """Also with options after it; a word that is neither a service nor a command is refused."""
    (project.directory / "compose.yaml").write_text(TWO_SERVICES)
    planned = [project.typed("--dry", "up", *words) for words in (("db",), ("--service", "db"), ("-d", "db", "--wait"))]
    code, out, errors = project.typed("up", "nothing", "db")

    assert planned[0] == planned[1] == planned[2]
    assert "Create db-1 (missing)" in planned[0][1]
    assert "app" not in planned[0][1]
    assert (2, "") == (code, out)
    assert errors.startswith("twelfth: there is no service nothing; there are ")


def test_config_and_ps_answer_for_services(project: Project) -> None:
    """As in Compose; without runs."""
    (project.directory / "compose.yaml").write_text(TWO_SERVICES)
    project.typed("run", "-d", "--", "sleep", "60")
    (replica,) = project.engine.replicas("app")

    assert (0, "app\ndb\n", "") == project.typed("config", "--services")
    assert (0, "", "") == project.typed("config", "-q")
    assert (0, f"{replica.id}\n", "") == project.typed("ps", "app", "-q")
    assert 2 == project.typed("ps", "nothing")[0]


def test_ps_lists_replicas_and_runs(project: Project) -> None:
    """Those that are running; with `-a` all, and with `-q` only their ids."""
    _, run_id, _ = project.typed("run", "-d", "--", "sleep", "60")
    project.typed("run", "--", "true")
    (replica,) = project.engine.replicas("app")

    code, table, _ = project.typed("ps")
    names = [line.partition("  ")[0] for line in table.splitlines()]
    assert (0, ["NAME", "app-1", f"run {run_id.strip()}"]) == (code, names)
    assert table.endswith(" sleep 60\n")
    assert f"{replica.id}\n{run_id}" == project.typed("ps", "-q")[1]
    listed = json.loads(project.typed("ps", "-a", "--json")[1])
    assert [("replica", "running"), ("run", "running"), ("run", "done")] == [
        (process["kind"], process["state"]) for process in listed
    ]
