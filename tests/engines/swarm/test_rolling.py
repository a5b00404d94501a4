"""The progress of a rolled-out service, from the API's answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from twelfth.engines.swarm.rolling import Rolling
from twelfth.engines.swarm.service_spec import SPEC

BEGAN = 1_700_000_000.0


def task(digest: str, state: str, desired: str = "running", *, at: float = BEGAN + 1, err: str = "") -> dict[str, Any]:
    """Return a task that entered a state at a time."""
    status = {"State": state, "Timestamp": datetime.fromtimestamp(at, UTC).isoformat(), "Err": err}
    spec = {"ContainerSpec": {"Labels": {SPEC: digest}}}
    return {"ID": f"{digest}-{state}", "Status": status, "DesiredState": desired, "Spec": spec}


def rolling(state: str, *tasks: dict[str, Any]) -> Rolling:
    """Return a service whose update has a state."""
    return Rolling({"UpdateStatus": {"State": state}} if state else {}, tasks, "new", BEGAN)


def test_update_is_done_when_only_new_tasks_run() -> None:
    """It is not done while an old task should run, nor while Swarm is still updating."""
    new, old = task("new", "running"), task("old", "running")

    assert rolling("completed", new, new).is_done(2)
    assert rolling("", new, task("old", "running", "shutdown")).is_done(1)
    assert not rolling("completed", new, old).is_done(1)
    assert not rolling("updating", new).is_done(1)
    assert not rolling("completed", new).is_done(2)


@pytest.mark.parametrize("state", ["paused", "rollback_paused", "rollback_completed"])
def test_update_is_given_up_by_its_state(state: str) -> None:
    """It is also given up if the task of a new service fails, which Swarm would restart for ever."""
    failed = task("new", "failed", "shutdown")

    assert rolling(state).is_given_up
    assert rolling("", failed).is_given_up
    assert not rolling("updating", failed).is_given_up
    assert not rolling("", task("new", "failed", at=BEGAN - 60)).is_given_up


def test_reason_is_the_error_of_the_last_task() -> None:
    """The last line of its output follows, if there is one."""
    failed = task("new", "failed", "shutdown", err="task: non-zero exit (1)")

    assert "web is not ready after 9 s (no node takes it)" == rolling("").why("web", 9, "")
    assert "web exited (task: non-zero exit (1)): bye" == rolling("", failed).why("web", 9, "bye")
    assert "web is not ready after 9 s (port taken)" == rolling("", task("new", "pending", err="port taken")).why(
        "web", 9, ""
    )
