"""Read a model by tables of the keys that are honoured; every other key is refused by its full name, all at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Reader = Callable[["Value"], Any]
Table = Mapping[str, Reader | None]
"""The keys that are honoured, and what reads each; None for one that says nothing more."""

_INSTEAD = {
    "credential_spec": "remove it, there are no Windows containers here",
    "external": "write file, content or environment",
    "external_links": "put both on one network that is external",
    "post_start": "do it in command, or by a run: invoke run",
    "pre_stop": "do it where the program takes its stop_signal",
    "volumes_from": "write the same volumes",
}
"""What to write instead of a key that is not honoured."""


@dataclass(frozen=True)
class Value:
    """A value, the full name of its key, the whole model, and where the refusals are collected."""

    path: str
    value: Any
    model: Mapping[str, Any]
    refusals: list[str]

    def refuse(self, key: str, why: str) -> None:
        """Add that a key of this value, or this value itself where the key is empty, is not honoured."""
        self.refusals.append(f"{'.'.join(filter(None, (self.path, key)))} {why}")

    def below(self) -> Iterator[tuple[str, Value]]:
        """Return what a mapping holds, by key."""
        for key, value in (self.value or {}).items():
            yield key, Value(f"{self.path}.{key}".lstrip("."), value, self.model, self.refusals)

    def items(self) -> Iterator[Value]:
        """Return what a list holds."""
        for index, value in enumerate(self.value):
            yield Value(f"{self.path}[{index}]", value, self.model, self.refusals)

    def read(self, table: Table) -> dict[str, Any]:
        """Return what the table makes of each key that is set; refuse any other key."""
        found = {}
        for key, below in self.below():
            if key not in table:
                below.refuse_unknown(key)
            elif below.value is not None and (reader := table[key]):
                found[key] = reader(below)
        return found

    def refuse_unknown(self, key: str) -> None:
        """Refuse a key that is not honoured, unless it says nothing."""
        if not key.startswith("x-") and self.value not in (None, {}, []):
            self.refuse("", f"is not honoured by twelfth; {_INSTEAD.get(key, 'remove it')}")


def as_is(at: Value) -> object:
    """Return the value."""
    return at.value


def cast(kind: Callable[[Any], object]) -> Reader:
    """Return a reader that makes something of the value."""
    return lambda at: kind(at.value)


def nested(table: Table) -> Reader:
    """Return a reader of a mapping that has a table of its own."""
    return lambda at: at.read(table)


def unchecked(table: Table, instead: str) -> Reader:
    """Return a reader of a mapping under an `x-` key, at which Compose has not looked."""

    def read(at: Value) -> object:
        if isinstance(at.value, dict):
            return at.read(table)
        at.refuse("", f"must be a mapping; write {instead}")
        return {}

    return read


def each(reader: Reader) -> Reader:
    """Return a reader of a list whose items have a reader of their own."""
    return lambda at: tuple(map(reader, at.items()))


def only(*accepted: str) -> Reader:
    """Return a reader of a key that may have only these values."""

    def read(at: Value) -> object:
        if at.value not in accepted:
            at.refuse("", f"is {at.value}, which is not honoured by twelfth; write {accepted[0]}")
        return at.value

    return read


def matching(pattern: str, instead: str) -> Reader:
    """Return a reader of a key whose value has to match a pattern as a whole."""

    def read(at: Value) -> object:
        if not re.fullmatch(pattern, str(at.value)):
            at.refuse("", f"is {at.value}; {instead}")
        return at.value

    return read
