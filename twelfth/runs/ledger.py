"""The ledger of a stack: files for the start, end and notification of each run or change, stored with the stack.

The files are in numbered directories of about `FULL` records each, so that the latest records are read quickly. New
files go to the last one, to which the link `open` points: a writer needs no number, and makes one call. A record that
was torn by a crash is ignored; that of an end contains all of the start.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twelfth.errors import EngineError, TwelfthError
from twelfth.model.record import delivery_from_json, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from twelfth.engines.state import State
    from twelfth.model.record import Delivery, Record

LEDGER = "ledger"
OPEN = f"{LEDGER}/open"
NUMBER = "number"
"""The file that contains its directory's number."""

START, END, NOTIFIED = ".json", ".end.json", ".notified"

FULL = 200
"""Records in a directory after which the next one is created."""

CHECKED = 50
"""One in N new records checks whether the directory is full: reading it takes longer than writing the record."""


@dataclass(frozen=True)
class Page:
    """The records in one directory by id, and the ids of those that were started while it was the last one.

    A long run ends in a later directory than it was started in.
    """

    records: Mapping[str, Record]
    started: frozenset[str]
    notified: Mapping[str, Delivery] = field(default_factory=dict)
    """The deliveries of notifications by the ids of their records, which may be in earlier directories."""


class Ledger:
    """The ledger in the state of one stack."""

    def __init__(self, state: State) -> None:
        self.state = state

    def start(self, *records: Record) -> None:
        """Write the record of what is about to be done, or will not be done; raises `EngineError`."""
        self._add({f"{record.id}{START}": record.to_json() for record in records})
        if any(int(record.id, 16) % CHECKED == 0 for record in records):
            with contextlib.suppress(TwelfthError):
                self._begin_next_if_full(self.state.read(OPEN))

    def end(self, records: Iterable[Record]) -> None:
        """Write complete records; raises `EngineError`."""
        if files := _ends(records):
            self._add(files)

    def end_and_notify(self, record: Record) -> None:
        """Write a complete record and its attempted notification in one step; raises `EngineError`."""
        self._add(_ends([record]) | _deliveries([record]))

    def notify(self, records: Iterable[Record]) -> None:
        """Write how far the notifications of records are; raises `EngineError`."""
        if files := _deliveries(records):
            self._add(files)

    def send_end(self, records: Iterable[Record]) -> None:
        """Write complete records without waiting for the result; the next reader completes one that is lost."""
        if files := _ends(records):
            self.state.send(OPEN, files)

    def complete(self, records: Iterable[Record]) -> None:
        """Write complete records, except for those that are stored as such; raises `EngineError`."""
        ends = {record.id: record for record in records}
        unseen, stored = set(ends), set[str]()
        for page in self.pages() if ends else ():
            stored |= {name for name in unseen & page.records.keys() if page.records[name].is_final}
            unseen -= page.records.keys()
            if not unseen:
                break
        self.end(end for name, end in ends.items() if name not in stored)

    def pages(self) -> Iterator[Page]:
        """Yield the records, those of the latest directory first."""
        files = self.state.read(OPEN) or self.state.read(_directory(self._last()))
        yield _page(files)
        self._begin_next_if_full(files)
        for number in range(self._number(files) - 1, 0, -1):
            yield _page(self.state.read(_directory(number)))

    def remove(self) -> bool:
        """Remove all records; return whether there were any."""
        has_records = any(page.records for page in self.pages())
        if has_records:
            self.state.remove(LEDGER)
        return has_records

    def _add(self, files: Mapping[str, bytes]) -> None:
        if not self.state.add(OPEN, files):
            self._begin(self._last())
            if not self.state.add(OPEN, files):
                raise EngineError(f"cannot record this in {OPEN} of the stack's state. Try: invoke status")

    def _last(self) -> int:
        """Return the number of the last directory, 1 if there is none, in few reads: the link may have been lost."""
        above = 1
        while self._has(above):
            above *= 2
        return max(1, bisect_left(range(above), x=True, lo=above // 2, key=lambda number: not self._has(number + 1)))

    def _has(self, number: int) -> bool:
        return bool(self.state.read(_directory(number)))

    def _begin_next_if_full(self, files: Mapping[str, bytes]) -> None:
        """Begin the next directory; a process that still writes to this one does no harm."""
        if len(_page(files).started) > FULL:
            number = self._number(files)
            self._begin(number + 1)
            self.state.pack(_directory(number))

    def _number(self, files: Mapping[str, bytes]) -> int:
        try:
            return int(files[NUMBER])
        except (KeyError, ValueError):  # torn by a crash
            return self._last()

    def _begin(self, number: int) -> None:
        self.state.write({f"{_directory(number)}/{NUMBER}": str(number).encode()})
        self.state.link(OPEN, f"{number:06}")


def _ends(records: Iterable[Record]) -> dict[str, bytes]:
    return {f"{record.id}{END}": record.to_json() for record in records}


def _deliveries(records: Iterable[Record]) -> dict[str, bytes]:
    return {f"{record.id}{NOTIFIED}": record.notified.to_json() for record in records if record.notified}


def _directory(number: int) -> str:
    return f"{LEDGER}/{number:06}"


def _page(files: Mapping[str, bytes]) -> Page:
    starts = {name.removesuffix(START): content for name, content in files.items() if _is_start(name)}
    ends = {name.removesuffix(END): content for name, content in files.items() if name.endswith(END)}
    parsed = [*map(from_json, starts.values()), *map(from_json, ends.values())]
    texts = {name.removesuffix(NOTIFIED): content for name, content in files.items() if name.endswith(NOTIFIED)}
    notified = {name: delivery for name, content in texts.items() if (delivery := delivery_from_json(content))}
    return Page({record.id: record for record in parsed if record}, frozenset(starts), notified)


def _is_start(name: str) -> bool:
    return name.endswith(START) and not name.endswith(END)
