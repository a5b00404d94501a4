"""Directories of runs: which are runs, what a run is made from, and what a failed start leaves."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from twelfth.engines.json_file import write_json
from twelfth.engines.local.run_spec import run_spec
from twelfth.engines.local.runs import LocalRuns
from twelfth.engines.local.session import LocalSession
from twelfth.errors import IdentityError, NotUpError
from twelfth.model.run import RunRequest
from twelfth.model.snapshot import Replica

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = {"image": "app:abc", "environment.A": "1", "stop_grace_period": "1s"}
WORKER = Replica("worker", 1, "worker-1", "running", RECIPE, release="abc")


def spec(tmp_path: Path, **changes: object) -> dict[str, Any]:
    """Return the worker's specification."""
    environment = {"PATH": os.environ["PATH"], "A": "1"}
    values = {"release": "abc", "recipe": RECIPE, "environment": environment, "directory": str(tmp_path)}
    return values | changes


def request(*command: str) -> RunRequest:
    """Return a request of a command."""
    return RunRequest("ab12", command, WORKER, interactive=False)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"release": "def", "recipe": RECIPE | {"image": "app:def"}}, "image, release"),
        ({"recipe": RECIPE | {"environment.A": "hush"}}, "environment.A"),
    ],
)
def test_worker_that_was_replaced_after_it_was_chosen_is_refused(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    """Nothing was started, nothing is left, no value is shown."""
    runs = LocalRuns(tmp_path, lambda _: spec(tmp_path, **changes))

    with pytest.raises(IdentityError) as refused:
        runs.start(request("true"))
    assert f"worker-1 was replaced meanwhile ({named}); nothing was started; repeat it" == str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_built_release_needs_no_comparison(tmp_path: Path) -> None:
    """No worker was chosen, so none was replaced."""
    runs = LocalRuns(tmp_path, lambda _: spec(tmp_path))
    session = runs.start(replace(request("true"), replica=replace(WORKER, id="", recipe={})))

    assert [] == list(session.output())
    assert 0 == session.wait()


@pytest.mark.parametrize("values", [{}, {"release": "abc"}])
def test_missing_worker_is_an_error_of_one_line(tmp_path: Path, values: dict[str, Any]) -> None:
    """Its file is missing, or garbled."""
    runs = LocalRuns(tmp_path, lambda _: values)

    for method in (runs.start, runs.differences):
        with pytest.raises(NotUpError, match=r"^worker-1 is gone; repeat the command, or: invoke up$"):
            method(request("true"))


def test_invalid_records_are_left_out(tmp_path: Path) -> None:
    """A file of another program, or half a file, does not disturb history, stop, up and down."""
    runs = LocalRuns(tmp_path, lambda _: spec(tmp_path))
    runs.start(request("true")).wait()
    for name, text in {"foreign": '{"openapi": "3"}', "half": '{"command": ["tr', "odd": '{"command": 5}'}.items():
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "spec.json").write_text(text, "utf-8")

    assert [("ab12", "done")] == [(run.id, run.state) for run in runs.records()]
    write_json(tmp_path / "runs" / "ab12" / "end.json", {"exit_code": "none"})
    assert [("ab12", "lost", None)] == [(run.id, run.state, run.exit_code) for run in runs.records()]


def test_interrupted_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its monitor is killed before it starts the run."""
    sessions: list[LocalSession] = []

    def interrupted(self: LocalSession) -> None:
        sessions.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalSession, "_wait_until_ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        LocalRuns(tmp_path, lambda _: spec(tmp_path)).start(request("touch", "ran"))

    assert [] == list((tmp_path / "runs").iterdir())
    assert sessions[0].monitor.poll()
    assert not (tmp_path / "ran").exists()


def test_run_never_starts_if_its_client_disconnects_before(tmp_path: Path) -> None:
    """Its monitor was ready, but never got the request to start the run."""
    home = tmp_path / "runs" / "ab12"
    home.mkdir(parents=True)
    request_ = RunRequest("ab12", ("touch", "ran"), WORKER)
    write_json(home / "spec.json", spec(tmp_path) | run_spec(spec(tmp_path), request_, "now"))
    session = LocalSession(home, json.loads((home / "spec.json").read_text("utf-8")))
    session.streams.close()
    session.control.close()
    session.monitor.wait(10)

    assert ["created"] == [run.state for run in LocalRuns(tmp_path, lambda _: {}).records()]
    assert not (tmp_path / "ran").exists()
