"""Run several tasks at the same time; if one fails, the others give up."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twelfth.stack.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

AT_ONCE = 8
"""Tasks that run at the same time; the SDK's client keeps ten connections."""

TURNS = max(2, os.cpu_count() or 1)
"""Tasks that use the processor at the same time."""

LONGEST_WAIT = 1.0
"""Seconds after which a task no longer waits for its turn, since the tasks that run may hang."""


@dataclass
class Tasks:
    """Tasks that run at the same time; `error` is the first exception of any of them, or an interruption."""

    say: Callable[[str], None]
    error: BaseException | None = None
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(TURNS))

    @property
    def is_interrupted(self) -> bool:
        """Return whether the operator interrupted the tasks, as opposed to a failure."""
        return isinstance(self.error, KeyboardInterrupt)

    @property
    def is_given_up(self) -> bool:
        """Return whether waiting tasks must give up."""
        return self.error is not None

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, so that only a few tasks at a time compete for the processor with what they wait for."""
        has_turn = self._turns.acquire(timeout=LONGEST_WAIT)
        try:
            yield
        finally:
            if has_turn:
                self._turns.release()

    def do(self, tasks: Sequence[Callable[[], object]]) -> None:
        """Run the tasks, wait for all, and raise the error; a single task can be interrupted at once."""
        if len(tasks) <= 1:
            for task in tasks:
                task()
            return
        pool = ThreadPoolExecutor(AT_ONCE)
        futures = [pool.submit(self._attempt, task) for task in tasks]
        try:
            wait(futures)
        except BaseException as error:
            self.error = error
            with uninterrupted(self.say, "the steps that have started finish first"):
                wait(futures)
            raise
        finally:
            pool.shutdown()
        if self.error:
            raise self.error

    def _attempt(self, task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - raised when all have finished
            self.error = self.error or error
