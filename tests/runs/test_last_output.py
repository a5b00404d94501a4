"""The last output of many runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from twelfth.errors import EngineError
from twelfth.model.record import Record
from twelfth.runs.last_output import LINES, SIZE, last_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUTS = {"a": [b"one\n", b"two\n"], "b": [b"x" * 10_000, b"y" * 10_000, b"z"], "c": []}


class Runs:
    """Runs with outputs; any other is on a machine that cannot be reached."""

    def output(self, run_id: str, *, follow: bool, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield the output of both streams."""
        assert (False, LINES) == (follow, last)
        if run_id not in OUTPUTS:
            raise EngineError("unreachable")
        return ((1 + number % 2, piece) for number, piece in enumerate(OUTPUTS[run_id]))


class Engine:
    """An engine with these runs."""

    runs = Runs()


def record(name: str, *, has_output: bool = True) -> Record:
    """Return the record of a run."""
    return Record(name, "run", "ann", "docker", "2026-01-01T00:00:00Z", has_output=has_output)


@pytest.mark.parametrize(
    ("run", "output"),
    [
        ("a", b"one\ntwo\n"),
        ("b", (b"x" * 10_000 + b"y" * 10_000 + b"z")[-SIZE:]),
        ("c", b""),
    ],
)
def test_output_is_limited(run: str, output: bytes) -> None:
    """To lines and bytes, of both streams in their order."""
    engine: Any = Engine()

    assert {run: output} == last_outputs(engine, [record(run)])


def test_output_that_cannot_be_read_is_left_out() -> None:
    """And none is read of runs whose output was removed."""
    engine: Any = Engine()
    records = [record("a"), record("lost"), record("b", has_output=False), record("c")]

    assert {"a", "c"} == last_outputs(engine, records).keys()
