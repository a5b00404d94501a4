"""What a client does while its run is running."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tests.memory_engine import Memory, MemoryRuns, MemoryState, World
from twelfth.engines.contract import STDOUT
from twelfth.errors import NotUpError
from twelfth.model.job import Changes
from twelfth.model.run import RunRequest
from twelfth.model.service import Mount, Service
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Network, Stack, Volume
from twelfth.runs.recording import KEPT
from twelfth.runs.start import describe, start_attached, start_detached

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    runs = SimpleNamespace(start=lambda *_: session, prune=prune, records=lambda _: (), ignored=lambda _: ())
    stack = Stack("shop", Path(), ())
    engine = SimpleNamespace(name="memory", state=MemoryState(World()), runs=runs, stack=stack)
    request = RunRequest("8", ("true",), Replica("app", 1, "a", "running", {}), interactive=False)

    assert 3 == start_attached(cast("Engine", engine), request, print)
    assert ([KEPT], b"pruned") == (kept, capfdbinary.readouterr().out)


def site(monkeypatch: pytest.MonkeyPatch) -> tuple[Memory, RunRequest]:
    """Return an engine on which no run can have a user, and a request of a run whose job declares one."""
    monkeypatch.setattr(MemoryRuns, "ignored", lambda *_: ("user",))
    service = Service("app", "app:1")
    stack = Stack("shop", Path(), (service,), (Network("front"),), (Volume("data"),))
    engine = Memory(stack, World(images=["app:1"]))
    container = Service("job", "", mounts=(Mount("volume", "/data", "data"),), networks=("front",), user="0")
    changes = Changes(container, frozenset({"volumes", "networks", "user"}))
    return engine, RunRequest("8", ("true",), engine.create_replica(service, 1), interactive=False, changes=changes)


def test_setting_that_a_run_cannot_have_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by `--dry`."""
    engine, request = site(monkeypatch)
    for resource in engine.stack.resources:
        engine.create_resource(resource)
    lines: list[str] = []
    start_detached(engine, request, lines.append)

    assert ["not applied on memory: user"] == lines
    assert describe(engine, request).endswith("\nnot applied on memory: user")


def test_run_on_a_network_or_volume_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon would create the volume without its settings."""
    engine, request = site(monkeypatch)
    with pytest.raises(NotUpError, match=r"^cannot run job: the network front is missing\. Try: invoke up$"):
        start_detached(engine, request, print)
    engine.create_resource(engine.stack.networks[0])

    with pytest.raises(NotUpError, match=r"^cannot run job: the volume data is missing\. Try: invoke up$"):
        start_detached(engine, request, print)
    assert () == engine.runs.records()
