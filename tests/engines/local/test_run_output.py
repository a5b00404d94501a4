"""The recorded output of a run, from a line or a moment on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from twelfth.engines import multiplex
from twelfth.engines.local.run_record import output
from twelfth.engines.multiplex import STDERR, STDOUT, TIME

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = [
    (TIME, b"100.5"),
    (STDOUT, b"a\nb"),
    (STDERR, b"!\n"),
    (TIME, b"200.5"),
    (STDOUT, b"c\nd\n"),
    (STDOUT, b"e"),
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the directory of a run that has exited."""
    (tmp_path / "output").write_bytes(b"".join(multiplex.frame(*frame) for frame in RECORDED))
    return tmp_path


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (9, [(STDOUT, b"a\nb"), (STDERR, b"!\n"), (STDOUT, b"c\nd\ne")]),
        (4, [(STDOUT, b"b"), (STDERR, b"!\n"), (STDOUT, b"c\nd\ne")]),
        (3, [(STDOUT, b"c\nd\ne")]),
        (1, [(STDOUT, b"e")]),
        (0, []),
    ],
)
def test_last_lines_are_those_of_both_streams(directory: Path, last: int, expected: list[tuple[int, bytes]]) -> None:
    """They come in their order; an incomplete last line counts."""
    assert expected == list(output(directory, follow=False, last=last))


@pytest.mark.parametrize(("moment", "expected"), [(100, b"a\nb!\nc\nd\ne"), (200, b"c\nd\ne"), (201, b"")])
def test_output_since_a_moment_is_complete(directory: Path, moment: float, expected: bytes) -> None:
    """It is exact to the hundredth of a second; together with a number of lines, both apply."""
    since = datetime.fromtimestamp(moment, UTC)

    assert expected == b"".join(data for _, data in output(directory, follow=False, since=since))
    assert expected[-1:] == b"".join(data for _, data in output(directory, follow=False, since=since, last=1))


def test_output_of_an_unknown_time_is_shown(tmp_path: Path) -> None:
    """Records of earlier versions have no times."""
    (tmp_path / "output").write_bytes(multiplex.frame(STDOUT, b"old"))

    assert [(STDOUT, b"old")] == list(output(tmp_path, follow=False, since=datetime.now(UTC)))
