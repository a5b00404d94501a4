"""The lines and tables that people read, and the JSON for scripts."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from twelfth.cli import views
from twelfth.model.job import Changes, Job
from twelfth.model.record import of_run
from twelfth.model.run import Run
from twelfth.model.service import Service
from twelfth.model.stack import Stack
from twelfth.stack.deploy_record import Deploy
from twelfth.stack.release_choice import ReleaseStatus
from twelfth.stack.status import ServiceStatus, Status

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
RELEASE = "4f5e6d7c8b9a"
RESET = ("python", "-m", "admin.reset", "--to", "5")
RUN = of_run(
    Run("a1b2c3d4", RESET, "docker", RELEASE, "sha256:1", "ann", "", (), "2026-01-02T10:00:00Z", "", 0.1, "done", 0)
)
BUILT = ReleaseStatus(RELEASE, "2026-01-02T10:00:00Z", "ann", serving=True, size=1_500_000)
WORKER = ServiceStatus("worker", 3, 3, 3, "running", "ready", RELEASE, 0, ())
STATUS = Status(
    project="shop",
    engine="docker",
    address="http://127.0.0.1:8000",
    ready=True,
    why="",
    release=RELEASE,
    services=(ServiceStatus("web", 1, 1, 1, "running", "ready", "", 0, ()), WORKER),
    details={"revision": "0002", "since": "2026-01-01", "pending": [], "ready": True},
    deployed=Deploy(RELEASE, "2026-01-02T09:59:00+00:00", "ann"),
)


def cells(table: str) -> list[list[str]]:
    """Return the words of each line below the heads."""
    return [line.split() for line in table.splitlines()[1:]]


def test_status_shows_the_essentials_at_a_glance() -> None:
    """Is it ready, where, what is running, and since when; each value has a label."""
    assert [
        "shop on docker at http://127.0.0.1:8000 is ready",
        "  web     1/1 running",
        "  worker  3/3 running, release 4f5e6d7c8b9a, deployed 2 h ago by ann",
        "healthchecks report: revision 0002, since 2026-01-01",
    ] == views.status(STATUS, NOW).splitlines()


def test_status_shows_what_is_not_as_it_should_be() -> None:
    """The reason first; then health, restarts and a deploy that is in progress."""
    worker = replace(WORKER, ready=1, health="ready, crashing", restarts=4, release="old, new")
    broken = replace(
        STATUS, ready=False, why="worker has 1 of 3 replicas", services=(worker,), details={}, deploy="ann (deploying)"
    )

    assert [
        "shop on docker at http://127.0.0.1:8000 is not ready: worker has 1 of 3 replicas",
        "  worker  1/3 running, ready, crashing, 4 restarts, release old, new",
        "in progress: ann (deploying)",
    ] == views.status(broken, NOW).splitlines()


def test_error_of_a_healthcheck_is_shown_once() -> None:
    """As the reason why the stack is not ready."""
    broken = replace(STATUS, ready=False, details={"error": "Redis is away"}, why="Redis is away")

    assert 1 == views.status(broken, NOW).count("Redis is away")


def test_stack_that_is_not_running_has_no_services() -> None:
    """With the command to type."""
    shown = views.status(replace(STATUS, services=()), NOW)

    assert "shop is not running on docker. Try: invoke up" == shown


def test_stack_that_would_not_be_deployed_has_the_reason() -> None:
    """With the command that works, instead of one that is refused."""
    shown = views.status(replace(STATUS, services=(), engine="local"), NOW, "its data is on docker. To do X: Y")

    assert "shop is not running on local: its data is on docker. To do X: Y" == shown


def test_first_deploy_is_shown_as_in_progress() -> None:
    """Another `up` would be refused."""
    shown = views.status(replace(STATUS, services=(), deploy="ann (deploying)"), NOW)

    assert "shop is not running on docker yet; in progress: ann (deploying)" == shown


def test_status_as_json_has_every_key() -> None:
    """Those of the healthchecks are next to twelfth's."""
    document = json.loads(views.status_json(STATUS))

    assert {"project", "engine", "address", "ready", "why", "release", "services", "deploy", "warnings"} < set(document)
    assert ("0002", [], "ann") == (document["revision"], document["pending"], document["deployed"]["operator"])


@pytest.mark.parametrize(
    ("started", "age"),
    [
        ("2026-01-02T11:59:59Z", "1 s"),
        ("2026-01-02T11:00:01Z", "59 min"),
        ("2026-01-02T11:00:00+00:00", "1 h"),
        ("2026-01-02T12:00:00+01:00", "1 h"),
        ("2025-12-03T12:00:00Z", "30 d"),
        ("2026-01-02T12:00:01Z", "0 s"),
    ],
)
def test_history_shows_ages(started: str, age: str) -> None:
    """In the largest unit; the clock of a daemon may be ahead."""
    (row,) = cells(views.history([replace(RUN, started=started)], NOW))

    assert age == " ".join(row[1:3])


def test_history_is_a_table_for_people() -> None:
    """A program of `admin/` has its name; an exit code is shown unless it is 0; empty columns are left out."""
    failed = replace(RUN, command=("sh", "-c", "exit 5"), state="failed", exit_code=5, seconds=7200.0, release="")
    running = replace(RUN, command=("true",), state="running", exit_code=None, seconds=None)

    assert [
        "ID        AGE  TOOK   STATE     RELEASE       BY   COMMAND",
        "a1b2c3d4  2 h  0.1 s  done      4f5e6d7c8b9a  ann  reset --to 5",
        "a1b2c3d4  2 h  2 h    failed 5  -             ann  sh -c 'exit 5'",
        "a1b2c3d4  2 h  -      running   4f5e6d7c8b9a  ann  true",
    ] == views.history([RUN, failed, running], NOW).splitlines()


CHANGE = replace(RUN, kind="up", command=(), release_before="0a1b2c3d4e5f", exit_code=None)


def test_history_shows_changes_with_what_was_changed() -> None:
    """The release before is shown if it was another one; the error of a failed change takes the place of a reason."""
    scaled = replace(CHANGE, kind="scale", what="worker=3", release_before="", release="", state="interrupted")
    failed = replace(CHANGE, release_before=RELEASE, state="failed", error="no space")

    assert [
        "ID        AGE  TOOK   STATE        RELEASE       BY   COMMAND",
        "a1b2c3d4  2 h  0.1 s  done         4f5e6d7c8b9a  ann  up (before: 0a1b2c3d4e5f)",
        "a1b2c3d4  2 h  0.1 s  interrupted  -             ann  scale worker=3",
    ] == views.history([CHANGE, scaled], NOW).splitlines()
    assert ["failed", RELEASE, "ann", "up", "no", "space"] == cells(views.history([failed], NOW))[0][5:]


def test_one_record_is_shown_in_full() -> None:
    """One line for each value, and where its output is."""
    shown = views.record(replace(RUN, overrides=("A", "B"), reason="ticket 7", host="ci"), NOW).splitlines()

    assert "command    python -m admin.reset --to 5" in shown
    assert {"overrides  A, B", "reason     ticket 7", "host       ci"} <= {*shown}
    assert "started    2026-01-02T10:00:00Z (2 h ago)" in shown
    assert "output     no longer kept" in shown
    assert views.record(replace(RUN, has_output=True), NOW).splitlines()[-1].endswith("logs --run a1b2c3d4")
    assert "output" not in views.record(CHANGE, NOW)


def test_hint_in_an_error_of_a_record_names_the_program_that_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record has the words of the code."""
    monkeypatch.setattr("twelfth.hints.program", lambda: "X")
    record = replace(RUN, error="cannot start nightly: run a is still running. Try: invoke history a")

    for text in (views.history([record], NOW), views.record(record, NOW)):
        assert " Try: X history a" in text


@pytest.mark.parametrize("width", [80, 120, None])
def test_tables_fit_a_terminal(width: int | None) -> None:
    """The longest columns are cut; the identifiers that are copied are not. A pipe gets all of them."""
    words = ("sh", "-c", "x" * 90)
    long = replace(RUN, command=words, operator="root (sudo ann)", reason="y " * 30, state="timeout", exit_code=124)
    release = replace(BUILT, operator="an operator with a very long name " * 3)
    restore = replace(RUN, kind="restore", what="/backups/" + "x" * 90)
    tables = (views.history([RUN, long, restore], NOW, width), views.releases([release], NOW, width))
    lines = [line for table in tables for line in table.splitlines()]

    assert width in {max(map(len, lines)), None}
    assert all(text in lines[2] for text in ("a1b2c3d4", "timeout 124", RELEASE, "sh -c"))
    assert [width is not None, width is None] == ["…" in lines[2], words[-1] in lines[2]]


def test_code_that_was_mounted_is_marked() -> None:
    """The release alone does not say which code ran."""
    shown = views.history([replace(RUN, source_mounted=True)], NOW)

    assert f"{RELEASE}*" in shown
    assert "* source mounted" in shown.splitlines()[-1]


def test_releases_are_a_table_for_people() -> None:
    """When each was built and deployed, which is running, which failed, and where a rollback goes."""
    old = replace(BUILT, id="old", operator="", serving=False, deployed="2026-01-01T10:00:00+00:00", is_previous=True)
    bad = replace(BUILT, id="bad", serving=False, failed="2026-01-02T11:00:00+00:00")

    assert [
        "RELEASE       BUILT    BY   SIZE    DEPLOYED  STATE",
        "4f5e6d7c8b9a  2 h ago  ann  1.5 MB  -         running",
        "old           2 h ago  -    1.5 MB  1 d ago   rollback goes here",
        "bad           2 h ago  ann  1.5 MB  -         failed 1 h ago",
    ] == [line.rstrip() for line in views.releases([BUILT, old, bad], NOW).splitlines()]


@pytest.mark.parametrize("recorded", ["2026-01-02T03:04:05.678901234Z", "2026-01-02T04:04:05.678901+01:00"])
def test_times_in_json_do_not_depend_on_the_engine(recorded: str) -> None:
    """UTC, to the millisecond; a missing time stays empty."""
    (record,) = json.loads(views.json_array([replace(RUN, started=recorded)]))

    assert ("2026-01-02T03:04:05.678+00:00", "") == (record["started"], record["finished"])
    assert "source_mounted" not in record


def test_width_is_that_of_the_terminal_and_a_pipe_has_none() -> None:
    """So `history | grep` finds text that a terminal has no room for."""
    near, far = os.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 132, 0, 0))
    program = "import sys; from twelfth.cli.outputs import terminal_width; print(terminal_width(), file=sys.stderr)"
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    widths = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.PIPE,
            check=True,
        ).stderr.strip()
        for output in (far, subprocess.PIPE)
    ]
    os.close(near)
    os.close(far)

    assert [b"132", b"None"] == widths


def test_jobs_are_part_of_the_configuration() -> None:
    """With the keys that they set."""
    job = Job("report", Changes(Service("report", "", user="1"), frozenset({"user", "command"})))
    shown = json.loads(views.config_json(Stack("p", Path(), (), jobs=(job,))))

    assert ["command", "user"] == shown["jobs"][0]["changes"]["keys"]


def test_run_of_a_job_is_shown_with_its_name() -> None:
    """Unless its command begins with that. A run that a schedule started is not shown as an operator's."""
    nightly = replace(RUN, job="nightly", trigger="schedule", command=("sh", "-c", "true"))
    backup = replace(RUN, job="backup", operator="ann", command=("python", "-m", "admin.backup"))
    first, second = views.history([nightly, backup], NOW).splitlines()[1:]

    assert "  schedule  nightly: sh -c true" in first
    assert "  ann       backup" in second
