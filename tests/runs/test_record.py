"""The record of runs: its fields, how long it is kept, and how a run is named."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.memory_engine import Memory, World
from tests.runs.client import attended, detached, history, record, records, run
from twelfth.errors import MisuseError
from twelfth.model.record import of_run
from twelfth.model.run import Run
from twelfth.model.stack import Stack
from twelfth.operator_name import operator
from twelfth.runs.ledger import Ledger
from twelfth.runs.manage import find_run
from twelfth.runs.source import choose_source

if TYPE_CHECKING:
    from tests.conftest import Project

TRUE = Run("", ("true",), "e", "r", "i", "me", "", (), "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", 1, "done", 0)


def known(*identities: str) -> Memory:
    """Return an engine with records of these ids."""
    engine = Memory(Stack("shop", Path(), ()), World())
    ledger = Ledger(engine.state)
    for identity in identities:
        ledger.start(replace(of_run(TRUE), id=identity))
    return engine


def test_unique_beginning_of_an_id_is_enough() -> None:
    """As git has it."""
    assert "ab22" == find_run(known("aa11", "ab22", "cd33"), "ab").id


def test_beginning_of_two_ids_is_refused_with_both() -> None:
    """The error names only the runs that it could mean."""
    with pytest.raises(
        MisuseError, match=r"^cannot find the record: 2 ids start with a \(aa11, ab22\). Try: invoke history$"
    ):
        find_run(known("aa11", "ab22", "cd33"), "a")


@pytest.mark.parametrize("prefix", ["", "x"])
def test_id_of_no_run_is_refused(prefix: str) -> None:
    """An empty one names no run, even if there is only one."""
    with pytest.raises(MisuseError, match=r"invoke history$"):
        find_run(known("aa11"), prefix)


@pytest.mark.thorough
def test_run_that_has_ended_cannot_be_stopped(serving: Project) -> None:
    """One line and exit code 2; the record stays as it is."""
    run(serving, "--", "sh", "-c", "exit 3")
    before = record(serving)
    done = serving.invoke("stop", before["id"])

    assert (2, "") == (done.returncode, done.stdout)
    assert f"cannot stop run {before['id']}: it is not running (failed, exit code 3)" in done.stderr
    assert before == record(serving)


def test_detach_prints_the_id_alone(serving: Project) -> None:
    """A script can take it from standard output; standard error says nothing, and the output is in the log."""
    done = serving.invoke("run", "--detach", "--", "sh", "-c", "echo out; echo err >&2")

    assert re.fullmatch("[0-9a-f]{8}\n", done.stdout)
    assert (0, "") == (done.returncode, done.stderr)
    assert eventually(lambda: record(serving, done.stdout.strip())["state"] == "done")


def test_record_has_names_but_never_values_of_overrides(serving: Project) -> None:
    """Who, what, why, and which variables; the reason is kept, the secret is not."""
    done = run(serving, "--env", "TOKEN=hush", "--reason", "a drill", "--", "printenv", "TOKEN")

    kept = record(serving)
    assert b"hush\n" == done.stdout
    assert (["TOKEN"], "a drill") == (kept["overrides"], kept["reason"])
    assert "hush" not in json.dumps(kept)
    assert "hush" not in serving.invoke("history").stdout


def test_history_as_json_has_all_that_is_promised(serving: Project) -> None:
    """Every field of docs/runs.md, the times in order."""
    run(serving, "--env", "A=1", "--reason", "why not", "--", "sh", "-c", "sleep 0.2; exit 4")

    kept = history(serving)[-1]
    worker = choose_source(serving.engine())
    expected = {
        "command": ["sh", "-c", "sleep 0.2; exit 4"],
        "engine": serving.engine_name,
        "release": worker.release,
        "image": worker.image,
        "operator": operator(),
        "reason": "why not",
        "overrides": ["A"],
        "state": "failed",
        "exit_code": 4,
        "kind": "run",
        "host": socket.gethostname(),
        "trigger": "operator",
        "what": "",
        "release_before": "",
        "error": "",
        "has_output": True,
    }
    assert expected == {name: kept[name] for name in expected}
    assert {*expected, "id", "started", "finished", "seconds"} == kept.keys()
    took = datetime.fromisoformat(kept["finished"]) - datetime.fromisoformat(kept["started"])
    assert 0.1 < took.total_seconds() == pytest.approx(kept["seconds"], abs=0.002)


@pytest.mark.thorough
def test_run_that_ends_at_once_takes_no_less_than_no_time(serving: Project) -> None:
    """Docker 20.10 often records the start of such a run after its end."""
    done = {each.id for each in attended(serving, "true", times=8)}

    kept = [each for each in records(serving) if each["id"] in done]
    assert 8 == len(kept)
    assert [] == [each for each in kept if each["seconds"] < 0]


def test_history_is_a_table_for_people(serving: Project) -> None:
    """One line for a run, also if its command contains a newline; the newest is the last. A pipe gets whole lines."""
    run(serving, "--reason", "a drill", "--", "sh", "-c", "exit 5\n\x1b[31m")

    head, *_, last = serving.invoke("history").stdout.splitlines()
    assert ["ID", "AGE", "TOOK", "STATE", "RELEASE", "BY", "COMMAND", "REASON"] == head.split()
    identity, _, _, state, _, _, command, reason = re.split("  +", last)
    assert (record(serving)["id"], "failed 5") == (identity, state)
    assert (r"sh -c 'exit 5\n\x1b[31m'", "a drill") == (command, reason)


def test_only_the_last_ended_runs_are_kept(serving: Project) -> None:
    """The oldest record is removed for each new run, but never one of a running run."""
    running = detached(serving, "--", "sleep", "60")
    done = attended(serving, "true", times=7, keep=3)

    kept = [each["id"] for each in records(serving) if each["state"] in {"running", "done"}]
    assert [running, *(each.id for each in done[-3:])] == kept
    assert "running" == record(serving, running)["state"]
    serving.runs.stop(running, lambda _: None)


@pytest.mark.thorough
@pytest.mark.parametrize("engine_name", ["local"], indirect=True)  # each engine's part: tests/engines/test_contract.py
def test_history_survives_down_until_it_is_named(project: Project) -> None:
    """`down` keeps records and output; `down --history` removes them, even if nothing else is left."""
    project.up()
    run(project, "--", "echo", "kept")
    before = records(project)
    project.invoke("down", "--volumes")

    assert before == records(project)
    assert "kept\n" == project.invoke("logs", "--run", before[-1]["id"]).stdout
    project.invoke("down", "--history", "--yes")
    assert [] == records(project)
    assert "nothing is recorded" in project.invoke("history").stdout
