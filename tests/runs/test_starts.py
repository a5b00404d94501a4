"""A run that is interrupted while it starts either never was, or goes on to its end and is recorded."""

from __future__ import annotations

import gc
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from twelfth.engines.local.session import LocalSession
from twelfth.errors import EngineError, NotUpError
from twelfth.runs.records import find_run
from twelfth.runs.request import new_request
from twelfth.runs.source import choose_source
from twelfth.runs.start import start_attached

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project
    from twelfth.engines.contract import Engine, Session
    from twelfth.model.run import RunRequest


abandons = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""What was interrupted is not closed, which the end of its process does otherwise; `gc.collect` does it here."""


def request(engine: Engine, *command: str) -> RunRequest:
    """Return a request of a command without input."""
    return new_request(command, choose_source(engine), interactive=False)


def interrupt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, after: bool, by: type[BaseException] = KeyboardInterrupt
) -> None:
    """Have every start of a run interrupted at its decisive moment: before it or after it."""

    def interrupted(start: Callable[..., None]) -> Callable[..., None]:
        def instead(*arguments: object) -> None:
            if after:
                start(*arguments)
            raise by

        return instead

    if api := getattr(engine, "api", None):
        monkeypatch.setattr(api, "start", interrupted(api.start))
    else:
        monkeypatch.setattr(LocalSession, "start", interrupted(LocalSession.start))


@abandons
@pytest.mark.parametrize("way", ["start", "detach"])
def test_run_that_has_started_when_its_start_is_interrupted_goes_on(
    serving: Project, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Ctrl-C, or an answer that was lost: what the run writes is not cut off, and its end is recorded."""
    start_attached(serving.engine(), request(serving.engine(), "true"))  # there is a pause container
    engine = serving.engine()
    wanted = request(engine, "sh", "-c", "sleep 1; exit 5")
    interrupt(engine, monkeypatch, after=True)
    with pytest.raises(KeyboardInterrupt):
        getattr(engine.runs, way)(wanted)
    gc.collect()

    runs = serving.engine().runs
    assert eventually(lambda: ("failed", 5) == _end(find_run(runs, wanted.id)))


@abandons
@pytest.mark.parametrize("engine_name", ["docker"], indirect=True)
def test_run_whose_start_was_not_answered_goes_on(serving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's reply was lost; where to look is told."""
    engine = serving.engine()
    wanted = request(engine, "sh", "-c", "sleep 1; exit 5")
    interrupt(engine, monkeypatch, after=True, by=ConnectionError)
    with pytest.raises(EngineError, match="it may well go on, see: invoke history"):
        engine.runs.detach(wanted)
    gc.collect()

    runs = serving.engine().runs
    assert eventually(lambda: ("failed", 5) == _end(find_run(runs, wanted.id)))


def _end(run: object) -> tuple[object, object]:
    return getattr(run, "state", None), getattr(run, "exit_code", None)


@abandons
def test_run_that_has_not_started_when_it_is_interrupted_never_was(
    serving: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most it is there as created; what it was to do is not done."""
    start_attached(serving.engine(), request(serving.engine(), "true"))
    engine = serving.engine()
    wanted = request(engine, "true")
    interrupt(engine, monkeypatch, after=False)
    with pytest.raises(KeyboardInterrupt):
        engine.runs.start(wanted)
    gc.collect()

    runs = serving.engine().runs
    assert eventually(lambda: {run.state for run in runs.records() if run.id == wanted.id} <= {"created"})


def test_interrupt_while_a_run_starts_is_forwarded_to_it(serving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends by it, with its own exit code and its record."""
    engine = serving.engine()
    start = type(engine.runs).start

    def slowly(self: object, wanted: RunRequest) -> Session:
        signal.raise_signal(signal.SIGINT)
        return start(self, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(type(engine.runs), "start", slowly)
    wanted = request(engine, "sleep", "60")

    assert 130 == start_attached(engine, wanted)
    assert ("failed", 130) == _end(find_run(engine.runs, wanted.id))


def test_worker_that_goes_before_its_run_starts_is_told(serving: Project) -> None:
    """In one line, with nothing started."""
    engine = serving.engine()
    gone = replace(choose_source(engine), id="nothing", number=9)
    before = engine.runs.records()

    with pytest.raises(NotUpError, match=r"^worker-9 is gone; repeat the command"):
        engine.runs.start(new_request(["true"], gone))
    assert before == engine.runs.records()
