"""How a run ended, and which records make room."""

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
def test_exit_code_tells_a_timeout_from_a_kill(code: int, seconds: float, limit: str, expected: int) -> None:
    """124 only if the time was over; BusyBox's `timeout` exits with the code of a process that answers TERM."""
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


def test_run_never_ends_before_it_started() -> None:
    """The daemon may note the start of a quick run after its end."""
    times = {"StartedAt": "2026-01-01T00:00:00.868275336Z", "FinishedAt": "2026-01-01T00:00:00.8678Z"}
    run = inspected(State={"Status": "exited", "ExitCode": 0} | times)
    run["Config"] = run["Config"] | {"Labels": run_spec.labels(run, RunRequest("a", ("x",), REPLICA))}
    found = run_record.record(run)

    assert (times["StartedAt"], times["StartedAt"], 0) == (found.started, found.finished, found.seconds)


def test_programs_own_124_before_its_time_is_over_is_a_failure() -> None:
    """The record tells it from a timeout."""
    state = {"Status": "exited", "ExitCode": 124}
    times = {"StartedAt": "2026-01-01T00:00:00.000000001Z", "FinishedAt": "2026-01-01T00:00:01.5Z"}
    run = inspected(State=state | times)
    limited = RunRequest("a", ("x",), REPLICA, timeout=9)
    run["Config"] = run["Config"] | {"Labels": run_spec.labels(run, limited)}

    assert ("failed", 124) == (run_record.record(run).state, run_record.record(run).exit_code)


def test_room_is_made_by_age_within_a_second_too_and_not_at_the_cost_of_one_that_starts() -> None:
    """The list is the newest first, and its times are whole seconds."""
    listed = [{"Id": name, "State": "exited", "Created": 100} for name in "dcba"]
    starting, dead = ({"Id": name, "State": "created", "Created": at} for name, at in (("s", 100), ("x", 30)))

    assert ["b", "a", "x"] == [each["Id"] for each in run_record.prunable([starting, *listed, dead], 2, now=101)]
