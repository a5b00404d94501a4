"""How long something may take: as it is typed, shown, and passed to other programs."""

from __future__ import annotations

import pytest

from twelfth.cli.runs import waiting
from twelfth.errors import MisuseError
from twelfth.model.duration import parse_seconds, plain
from twelfth.runs.request import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 30),
        ("0.5", 0.5),
        (".5", 0.5),
        ("90s", 90),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h", 3_600),
        ("1h30m", 5_400),
        ("2d", 172_800),
        ("1000000", 1_000_000),
    ],
)
def test_duration_is_a_number_of_seconds_or_has_units(text: str, expected: float) -> None:
    """The same for every option that takes one."""

    assert expected == parse_seconds(text) == seconds(text)
    assert ("--wait", plain(expected)) == waiting(text)


@pytest.mark.parametrize(
    "text", ["0", "0s", "-1", "1e6", "nan", "inf", "5 m", "m", "1m1h", "5M", "99999d", "0.0001", "٣", "1s\n", "x"]
)
@pytest.mark.parametrize("option", ["--timeout", "--ready-within"])
def test_limit_that_is_no_duration_is_refused(text: str, option: str) -> None:
    """With what can be typed."""
    with pytest.raises(MisuseError) as refused:
        seconds(text, option)

    assert str(refused.value).startswith(
        f"invalid {option} {text}: it is not a duration above 0. For example: {option} 30, 90s, 5m"
    )


@pytest.mark.parametrize("text", ["-1", "1e6", "nan", "long", "99999d"])
def test_wait_that_is_no_duration_is_refused_before_a_run_is_made(text: str) -> None:
    """The program in the release knows seconds alone."""
    with pytest.raises(MisuseError, match=rf"^invalid --wait {text}: it is not a duration"):
        waiting(text)


def test_no_wait_is_no_option() -> None:
    """As it is when nothing is typed."""

    assert () == waiting("0") == waiting("0s")


@pytest.mark.parametrize(
    ("value", "shown"), [(1_000_000, "1000000"), (0.5, "0.5"), (100, "100"), (0.001, "0.001"), (3e8, "300000000")]
)
def test_seconds_are_written_without_an_exponent(value: float, shown: str) -> None:
    """Which BusyBox's `timeout` refuses."""

    assert shown == plain(value)
