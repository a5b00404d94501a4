"""The exit of a run, and which records are removed."""

from __future__ import annotations

import pytest

from tests.engines.docker_api.values import REPLICA, inspected
from twelfth.engines.docker_api import run_record, run_spec
from twelfth.model.run import RunRequest


@pytest.mark.parametrize(
    ("code", "seconds", "limit", "expected"),
    [
        (124, 2, "1", 124),
        (137, 12, "1", 124),
        (137, 0.4, "1", 137),
        (124, 0.6, "1", 124),
        (0, 2, "1", 124),
        (0, 1, "1", 124),
        (0, 0.7, "1", 0),
        (137, 2, "", 137),
        (3, 2, "1", 124),
        (3, 0.7, "1", 3),
    ],
)
def test_exit_code_distinguishes_a_timeout_from_a_kill(code: int, seconds: float, limit: str, expected: int) -> None:
    """It is 124 only at the time limit; BusyBox's `timeout` exits with the code of a process that handles TERM."""
    run = inspected(
        State={
            "Status": "exited",
            "ExitCode": code,
            "StartedAt": "2026-01-01T00:00:00.000000001Z",
            "FinishedAt": f"2026-01-01T00:00:{seconds:09.6f}999Z",
        },
    )
    run["Config"] = run["Config"] | {"Labels": {"twelfth.run.timeout": limit}}

    assert expected == run_record.exit_code(run)


def test_run_never_exits_before_its_start() -> None:
    """The daemon may record the start of a short run after its exit."""
    times = {"StartedAt": "2026-01-01T00:00:00.868275336Z", "FinishedAt": "2026-01-01T00:00:00.8678Z"}
    run = inspected(State={"Status": "exited", "ExitCode": 0} | times)
    run["Config"] = run["Config"] | {"Labels": run_spec.labels(run, RunRequest("a", ("x",), REPLICA))}
    found = run_record.record(run)

    assert (times["StartedAt"], times["StartedAt"], 0) == (found.started, found.finished, found.seconds)


def test_exit_code_124_before_the_time_limit_is_a_failure() -> None:
    """The record distinguishes it from a timeout."""
    state = {"Status": "exited", "ExitCode": 124}
    times = {"StartedAt": "2026-01-01T00:00:00.000000001Z", "FinishedAt": "2026-01-01T00:00:01.5Z"}
    run = inspected(State=state | times)
    limited = RunRequest("a", ("x",), REPLICA, timeout=9)
    run["Config"] = run["Config"] | {"Labels": run_spec.labels(run, limited)}

    assert ("failed", 124) == (run_record.record(run).state, run_record.record(run).exit_code)


def test_oldest_records_are_removed_but_no_run_that_is_starting() -> None:
    """The list has the newest first, and its times are in whole seconds."""
    listed = [{"Id": name, "State": "exited", "Status": "Exited (0) 1 s ago", "Created": 100} for name in "dcba"]
    starting, dead = ({"Id": name, "State": "created", "Created": at} for name, at in (("s", 100), ("x", 30)))

    assert ["b", "a", "x"] == [each["Id"] for each in run_record.prunable([starting, *listed, dead], 2, now=101)]


def test_failed_runs_are_kept_longest() -> None:
    """As many of them as of all."""
    codes = {"f": 1, "e": 0, "d": 0, "c": 143, "b": 124, "a": 0}
    listed = [
        {"Id": name, "State": "exited", "Status": f"Exited ({code}) 1 s ago", "Created": 100}
        for name, code in codes.items()
    ]

    assert ["d", "b", "a"] == [container["Id"] for container in run_record.prunable(listed, 2, now=101)]


def test_run_whose_container_is_being_removed_is_not_listed() -> None:
    """As one that is running it would refuse other runs of its job; the daemon removes it for a tenth of a second."""
    times = {"StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z", "ExitCode": 0}
    states = ({"Status": status} | times for status in ("created", "removing"))
    created, removed = (inspected(Created="2026-01-01T00:00:00Z", State=state) for state in states)
    for run, name in ((created, "a"), (removed, "b")):
        run["Config"] = run["Config"] | {"Labels": run_spec.labels(run, RunRequest(name, ("x",), REPLICA))}

    assert [("a", "created")] == [(run.id, run.state) for run in run_record.records([created, removed])]
