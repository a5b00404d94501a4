"""Read a model by tables of the supported keys; all other keys are refused together, each by its full name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Reader = Callable[["Value"], Any]
Table = Mapping[str, Reader | None]
"""The supported keys and their readers; None for a key that is accepted and ignored."""

_ALTERNATIVES = {
    "credential_spec": "remove it, as twelfth runs no Windows containers",
    "external": "write file, content or environment",
    "external_links": "connect both to one external network",
    "volumes_from": "declare the same volumes",
}
"""What to do instead of an unsupported key."""

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"([0-9.]+)(ms|µs|ns|h|m|s)")


@dataclass(frozen=True)
class Value:
    """A value, the full name of its key, the whole model, and the list that collects the refusals."""

    path: str
    value: Any
    model: Mapping[str, Any]
    refusals: list[str]

    def refuse(self, key: str, why: str, remedy: str) -> None:
        """Collect the refusal of a key of this value, or of this value if `key` is empty."""
        self.refusals.append(f"{'.'.join(filter(None, (self.path, key)))} {why}. Try: {remedy}")

    def below(self) -> Iterator[tuple[str, Value]]:
        """Yield the keys and values of a mapping."""
        for key, value in (self.value or {}).items():
            yield key, Value(f"{self.path}.{key}".lstrip("."), value, self.model, self.refusals)

    def items(self) -> Iterator[Value]:
        """Yield the items of a list."""
        for index, value in enumerate(self.value):
            yield Value(f"{self.path}[{index}]", value, self.model, self.refusals)

    def read(self, table: Table) -> dict[str, Any]:
        """Read each key by the table; refuse other keys."""
        values = {}
        for key, below in self.below():
            if key not in table:
                below.refuse_unknown(key, table)
            elif below.value is not None and (reader := table[key]):
                values[key] = reader(below)
        return values

    def refuse_unknown(self, key: str, known: Iterable[str]) -> None:
        """Refuse an unsupported key, unless it is empty; Compose has corrected those that are not under an `x-` key."""
        if not key.startswith("x-") and self.value not in (None, {}, []):
            similar = difflib.get_close_matches(key, known, 1) if "x-" in self.path else []
            self.refuse("", "is unsupported", _ALTERNATIVES.get(key) or next(iter(similar), "remove it"))


def as_is(at: Value) -> object:
    """Read a value without a conversion."""
    return at.value


def cast(kind: Callable[[Any], object]) -> Reader:
    """Return a reader that converts the value."""
    return lambda at: kind(at.value)


def nested(table: Table) -> Reader:
    """Return a reader of a mapping by a table."""
    return lambda at: at.read(table)


def unchecked(table: Table, example: str) -> Reader:
    """Return a reader of a mapping under an `x-` key, which Compose does not check."""

    def read(at: Value) -> object:
        if isinstance(at.value, dict):
            return at.read(table)
        at.refuse("", "must be a mapping", f"write {example}")
        return {}

    return read


def each(reader: Reader) -> Reader:
    """Return a reader of a list that reads each item."""
    return lambda at: tuple(map(reader, at.items()))


def only(*accepted: str) -> Reader:
    """Return a reader that accepts only these values."""
    *others, last = accepted
    remedy = f"write {', '.join(others)} or {last}" if others else f"write {last}"

    def read(at: Value) -> object:
        if at.value not in accepted:
            at.refuse("", f"is {at.value}, which is unsupported", remedy)
        return at.value

    return read


def matching(pattern: str, remedy: str) -> Reader:
    """Return a reader that accepts values that fully match a pattern."""

    def read(at: Value) -> object:
        if not re.fullmatch(pattern, str(at.value)):
            at.refuse("", f"is {at.value}", remedy)
        return at.value

    return read


def texts(at: Value) -> tuple[str, ...]:
    """Read a list of texts under an `x-` key, which Compose does not check."""
    if isinstance(at.value, list) and all(isinstance(text, str) for text in at.value):
        return tuple(at.value)
    at.refuse("", "must be a list of texts", "write [program, argument, ...], and quote numbers")
    return ()


def service_name(at: Value) -> str:
    """Read the name of a service."""
    names = list(at.model["services"])
    if at.value not in names:
        at.refuse("", f"is {at.value}, and there is no such service", f"write one of {', '.join(names)}")
    return str(at.value)


def number(at: Value) -> int:
    """Read a number of 1 or more under an `x-` key."""
    if not isinstance(at.value, int) or at.value < 1:
        at.refuse("", f"is {at.value}", "write a number, 1 or more")
        return 1
    return at.value


def seconds(at: Value) -> float:
    """Read a duration as Go prints it, such as `1m30s`."""
    parts = _DURATION.findall(at.value)
    if "".join(map("".join, parts)) != at.value:
        at.refuse("", f"is {at.value}", "write a duration such as 90s or 1m30s")
    return float(sum(round(float(amount) * _SECONDS[unit] * 10**9) for amount, unit in parts) / 10**9)


def text_mapping(at: Value) -> tuple[tuple[str, str], ...]:
    """Read names and values under an `x-` key."""
    if not isinstance(at.value, dict):
        at.refuse("", "must be a mapping", "write NAME: value")
        return ()
    for name, below in at.below():
        if not isinstance(below.value, str | int):
            below.refuse("", "must be text", f"quote it, or write ${{{name}}} for the operator's own")
    return tuple(sorted((name, _shown(value)) for name, value in at.value.items()))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
