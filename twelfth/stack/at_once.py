"""Do several jobs at the same time; the first that fails lets the others give up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.stack.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AT_ONCE = 8
"""How many jobs are done at the same time; the SDK's client keeps ten connections."""


@dataclass
class Jobs:
    """Jobs done at the same time; `error` is the first that any of them raised, or an interruption."""

    say: Callable[[str], None]
    error: BaseException | None = None

    @property
    def is_interrupted(self) -> bool:
        """Return whether the operator wants them to end, and not one of them failed."""
        return isinstance(self.error, KeyboardInterrupt)

    @property
    def is_given_up(self) -> bool:
        """Return whether a job that waits is to give up."""
        return self.error is not None

    def do(self, jobs: Sequence[Callable[[], object]]) -> None:
        """Do them, return when all have ended, and raise the error; one alone can be interrupted at once."""
        if len(jobs) <= 1:
            for job in jobs:
                job()
            return
        pool = ThreadPoolExecutor(AT_ONCE)
        futures = [pool.submit(self._attempt, job) for job in jobs]
        try:
            wait(futures)
        except BaseException as error:
            self.error = error
            with uninterrupted(self.say, "the steps that have started will finish"):
                wait(futures)
            raise
        finally:
            pool.shutdown()
        if self.error:
            raise self.error

    def _attempt(self, job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised where all have ended
            self.error = self.error or error
