"""Read the last output of many runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from twelfth.errors import TwelfthError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine
    from twelfth.model.record import Record

LINES = 30
"""Lines of a run's output that are read."""

SIZE = 16_384
"""Bytes of them that are kept."""

AT_ONCE = 4
"""Connections to the engine."""


def last_outputs(engine: Engine, records: Iterable[Record]) -> dict[str, bytes]:
    """Return the last lines of the output of runs by id, without those whose output was removed or cannot be read."""
    ids = [record.id for record in records if record.has_output]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outputs = pool.map(lambda run_id: _last_output(engine, run_id), ids)
        return {run_id: output for run_id, output in zip(ids, outputs, strict=True) if output is not None}


def _last_output(engine: Engine, run_id: str) -> bytes | None:
    end = b""
    try:
        for _, data in engine.runs.output(run_id, follow=False, last=LINES):
            end = (end + data)[-SIZE:]
    except TwelfthError:
        return None
    return end
