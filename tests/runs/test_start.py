"""What a client does while its run is running."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from tests.memory_engine import MemoryState, World
from twelfth.engines.contract import STDOUT
from twelfth.model.run import RunRequest
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Stack
from twelfth.runs.recording import KEPT
from twelfth.runs.start import start_attached

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from twelfth.engines.contract import Engine

WAIT = 10


def test_records_are_removed_while_the_run_is_running(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """So that removing a container delays no exit."""
    kept, is_pruned = list[int](), threading.Event()

    def prune(keep: int, _: object) -> None:
        kept.append(keep)
        is_pruned.set()

    def output() -> Iterator[tuple[int, bytes]]:
        yield STDOUT, b"pruned" if is_pruned.wait(WAIT) else b"not pruned"

    session = SimpleNamespace(output=output, wait=lambda: 3, exit_code=3)
    runs = SimpleNamespace(start=lambda *_: session, prune=prune, records=lambda _: ())
    stack = Stack("shop", Path(), ())
    engine = SimpleNamespace(name="memory", state=MemoryState(World()), runs=runs, stack=stack)
    request = RunRequest("8", ("true",), Replica("app", 1, "a", "running", {}), interactive=False)

    assert 3 == start_attached(cast("Engine", engine), request, print)
    assert ([KEPT], b"pruned") == (kept, capfdbinary.readouterr().out)
