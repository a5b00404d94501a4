"""Which parts of a daemon's progress of builds and pulls are shown."""

from __future__ import annotations

from typing import Any

import pytest

from twelfth.engines.docker_api.progress import LAST_LINES, lines
from twelfth.errors import EngineError

SILENT = "The command '/bin/sh -c x' returned a non-zero code: 2"
BROKEN = {"error": SILENT, "errorDetail": {"code": 2, "message": SILENT}}


def step(number: int, *printed: str) -> list[dict[str, Any]]:
    """Return a step of a build that prints something."""
    texts = (f"Step {number}/9 : RUN x", "\n", " ---> Replica in 0123456789ab\n", *printed)
    return [{"stream": text} for text in (*texts, "Removing intermediate container 0123456789ab\n")]


def docker_errors(*events: dict[str, Any]) -> tuple[list[str], str]:
    """Return the lines that are shown after the steps, and the error that ends them."""
    seen: list[str] = []
    stream = lines(events, "cannot build a")
    with pytest.raises(EngineError) as failure:
        seen.extend(stream)  # keeps what comes before the error
    return [line for line in seen if not line.startswith("Step ")], str(failure.value)


@pytest.mark.parametrize(
    ("printed", "expected", "why"),
    [
        (["one\n", "\x1b[91mtwo\nthree\n\x1b[0m"], ["one", "two", "three"], "three"),
        (["he", "re \n\n", "\x1b[91m\n \n\x1b[0m"], ["here"], "here"),
        ([f"{number}\n" for number in range(99)], [str(number) for number in range(99)][-LAST_LINES:], "98"),
        (["x" * 999], ["x" * 200], "x" * 200),
    ],
)
def test_output_of_a_failed_step_is_shown(printed: list[str], expected: list[str], why: str) -> None:
    """Its last lines are shown, without blank ones; the error has the last one."""
    error = f"cannot build a: {why} (step 2/9, exit code 2); fix that, then: invoke up"

    assert (expected, error) == docker_errors(*step(1, "no more of this\n"), *step(2, *printed), BROKEN)


def test_error_of_a_silent_step_is_the_daemons_message() -> None:
    """The output of the previous step is not used."""

    assert ([], f"cannot build a: {SILENT}; fix that, then: invoke up") == docker_errors(
        *step(1, "one\n"), *step(2), BROKEN
    )


def test_error_of_a_step_that_did_not_run_is_the_daemons_message() -> None:
    """It has no exit code."""
    lookup = {"error": "pull access denied for b", "errorDetail": {"message": "pull access denied for b"}}
    said, error = docker_errors(*step(1, "one\n"), lookup)

    assert ([], True) == (said, error.startswith("cannot build a: pull access denied for b; without a registry"))


def test_each_change_of_a_pull_is_shown_once() -> None:
    """A status that repeats is one line."""
    statuses = ({"status": text} for text in ("Pulling", "Pulling", "Done"))

    assert ["Pulling", "Done"] == list(lines(statuses, "cannot pull a"))
