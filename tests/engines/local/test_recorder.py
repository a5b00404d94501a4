"""What a run's monitor keeps of its output, and where that ends."""

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
def test_no_more_is_kept_than_the_limit(tmp_path: Path, size: int) -> None:
    """In bytes on the disk, however small the pieces are; who reads it learns that it was the limit, not the disk."""
    recorder = Recorder(tmp_path, keeps_stdout=True, limit=LIMIT)
    for _ in range(2 * LIMIT // size):
        recorder.write(STDOUT, b"x" * size)
    recorder.record_end(datetime.now(UTC), 1, "done", 0)

    assert (tmp_path / "output").stat().st_size <= LIMIT
    assert (STDERR, b"twelfth: what is kept of this output ends here: the limit of 1 MiB\n") == [
        *output(tmp_path, follow=False)
    ][-1]


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")  # a monitor ends
def test_what_is_within_the_limit_is_kept_whole(tmp_path: Path) -> None:
    """And nothing is said."""
    recorder = Recorder(tmp_path, keeps_stdout=True, limit=LIMIT)
    recorder.write(STDOUT, b"x" * (LIMIT - 100))
    recorder.record_end(datetime.now(UTC), 1, "done", 0)

    assert [LIMIT - 100] == [len(data) for _, data in output(tmp_path, follow=False)]
