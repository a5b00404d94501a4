"""Describe what a backup omits: everything on the server except the keys of one database."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

MOST = 100
"""Names of a kind that are recorded, since a manifest has at most a megabyte."""
LONGEST = 100
"""Characters of a name that are recorded."""
SHOWN = 5
"""Names of a kind that are shown."""
MORE = "more"
"""The entry that stands for all names beyond MOST."""


@dataclass(frozen=True)
class Omitted:
    """What a backup omits, by name; `databases` has the other databases with their numbers of keys.

    `modules` may keep data outside of keys, such as indexes. `unknown` is what this user has no right to ask.
    """

    databases: Mapping[str, int] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a description, "" for nothing."""
        databases = [f"{name} ({count:,} keys)" for name, count in self.databases.items()]
        kinds = {
            "database": databases,
            "function library": self.functions,
            "ACL user": self.users,
            "module data outside of keys:": self.modules,
            "unknown (this user may not ask):": self.unknown,
        }
        return "; ".join(f"{kind} {_shown(names)}" for kind, names in kinds.items() if names)


def few(names: Iterable[str]) -> tuple[str, ...]:
    """Return names as they are recorded, limited in number and length."""
    shown = [name[:LONGEST] for name in islice(names, MOST + 1)]
    return (*shown[:MOST], *([MORE] if len(shown) > MOST else []))


def few_databases(databases: Mapping[int, int]) -> dict[str, int]:
    """Return databases and their numbers of keys as they are recorded."""
    counts = [(str(number), databases[number]) for number in sorted(databases)]
    more = sum(count for _, count in counts[MOST:])
    return dict(counts[:MOST]) | ({MORE: more} if len(counts) > MOST else {})


def read_omitted(fields: Any) -> Omitted:  # noqa: ANN401 - what JSON gives
    """Read the entry of a manifest; raises TypeError and ValueError if it is invalid."""
    lists = {name: tuple(fields[name]) for name in ("functions", "users", "modules", "unknown")}
    omitted = Omitted(databases=dict(fields["databases"]), **lists)
    sound = all(isinstance(name, str) for names in lists.values() for name in names) and all(
        isinstance(name, str) and type(count) is int for name, count in omitted.databases.items()
    )
    if not sound or fields.keys() != {"databases", *lists}:
        raise ValueError
    return omitted


def _shown(names: Iterable[str]) -> str:
    listed = [*names]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
