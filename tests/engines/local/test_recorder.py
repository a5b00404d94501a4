"""How much of a run's output its monitor records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from twelfth.engines.local.recorder import Recorder
from twelfth.engines.local.run_record import output
from twelfth.engines.multiplex import STDERR, STDOUT

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1 << 20


@pytest.mark.parametrize("size", [1, 1000, 2 * LIMIT])
def test_output_is_recorded_up_to_a_limit(tmp_path: Path, size: int) -> None:
    """The limit counts bytes on the disk, including headers; a reader sees that the limit was reached."""
    recorder = Recorder(tmp_path, keeps_output=True, limit=LIMIT)
    for _ in range(2 * LIMIT // size):
        recorder.write(STDOUT, b"x" * size)
    recorder.record_end(datetime.now(UTC), 1, "done", 0)

    assert (tmp_path / "output").stat().st_size <= LIMIT
    assert (STDERR, b"twelfth: the rest of this output is not recorded: the limit of 1 MiB\n") == [
        *output(tmp_path, follow=False)
    ][-1]


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")  # a monitor ends
def test_output_within_the_limit_is_complete(tmp_path: Path) -> None:
    """No warning is added."""
    recorder = Recorder(tmp_path, keeps_output=True, limit=LIMIT)
    recorder.write(STDOUT, b"x" * (LIMIT - 100))
    recorder.record_end(datetime.now(UTC), 1, "done", 0)

    assert [LIMIT - 100] == [len(data) for _, data in output(tmp_path, follow=False)]
