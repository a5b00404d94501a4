"""Follow the logs of a stack's services, also while a deploy replaces their replicas."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from twelfth.errors import NoLogError, TwelfthError
from twelfth.stack.logs import prefixed, refuse_unkept

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from twelfth.engines.contract import Engine
    from twelfth.model.snapshot import Replica

WAITING = 8
"""Blocks of lines that are buffered before a slow reader delays the logs."""

LOOK_EVERY = 1.0
"""Seconds between checks for new replicas."""

SETTLING = 3.0
"""Seconds without a running replica after which following stops, unless a deploy is in progress."""


@dataclass
class Follower:
    """Follows the logs of services, of all if there are none.

    `last` and `since` apply to the replicas that run at the start.
    """

    engine: Engine
    services: Collection[str]
    say: Callable[[str], None]
    last: int | None = None
    since: datetime | None = None
    clock: Callable[[], float] = time.monotonic

    _arrived: queue.Queue[bytes | _Ended] = field(default_factory=lambda: queue.Queue(WAITING))
    _open: set[str] = field(default_factory=set)
    _ended: dict[str, datetime] = field(default_factory=dict)
    _unkept: list[str] = field(default_factory=list)

    def lines(self, replicas: Sequence[Replica]) -> Iterator[bytes]:
        """Yield blocks of lines as they arrive, each line prefixed with its replica's name, until no replica is left.

        A reader that stops reading delays the logs without using more memory. Raises the error of the first log that
        fails, and `NoLogError` if no log is kept.
        """
        self._width = max(len(replica.name) for replica in replicas)
        for replica in replicas:
            self._follow(replica, self.last, self.since)
        looked = alive = self.clock()
        while self._open or self.clock() < alive + SETTLING or self.engine.state.holder():
            yield from self._wait(looked + LOOK_EVERY)
            if self.clock() >= looked + LOOK_EVERY:
                self._look()
                looked = self.clock()
            alive = self.clock() if self._open else alive
            if len(self._unkept) == len(replicas) and not self._open:
                break
        refuse_unkept(self._unkept, len(self._ended))

    def _wait(self, until: float) -> Iterator[bytes]:
        try:
            arrived = self._arrived.get(timeout=max(0.01, until - self.clock()))
        except queue.Empty:
            return
        if isinstance(arrived, bytes):
            yield arrived
        else:
            self._end(arrived)

    def _end(self, ended: _Ended) -> None:
        self._open.discard(ended.replica.id)
        self._ended[ended.replica.id] = ended.at
        if isinstance(ended.error, NoLogError):
            why = f"{ended.replica.name}: {ended.error}"
            if len(self._ended) == 1 and not self._open:
                raise NoLogError(why) from ended.error
            self.say(why)
            self._unkept.append(ended.replica.name)
        elif ended.error:
            raise ended.error

    def _look(self) -> None:
        """Follow new replicas, and those that were restarted since their log ended."""
        for replica in self.engine.replicas_of(self.services):
            if replica.id in self._open or not replica.is_running or replica.name in self._unkept:
                continue
            self._follow(replica, None, self._ended.get(replica.id))

    def _follow(self, replica: Replica, last: int | None, since: datetime | None) -> None:
        self._open.add(replica.id)
        log = self.engine.logs(replica, follow=True, last=last, since=since)
        threading.Thread(target=self._read, args=(replica, log), daemon=True).start()

    def _read(self, replica: Replica, log: Iterator[bytes]) -> None:
        error = None
        try:
            for lines in prefixed(replica.name, self._width, log):
                self._arrived.put(lines)
        except TwelfthError as failure:
            error = failure
        finally:
            self._arrived.put(_Ended(replica, datetime.now(UTC), error))


@dataclass(frozen=True)
class _Ended:
    """The end of a log."""

    replica: Replica
    at: datetime
    error: TwelfthError | None
