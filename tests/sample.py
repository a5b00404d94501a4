"""Which tests `./inv test` runs: a sample that takes minutes. With `TWELFTH_SCENARIOS=full` it runs all.

A file whose tests run on several engines runs on one of them, always the same; in a file of many such tests each has
its own. Tests marked `every_engine` run on each, except that a quarter of them run on a Swarm, and that Docker's old
and current daemon share them; `sampled_on` names the engine of a file. Tests of two kinds of Redis servers run on one.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

FULL = os.environ.get("TWELFTH_SCENARIOS") == "full"
"""Whether all tests are run, at their full size."""

MODERN = "modern"
"""The docker engine again, on a current daemon (`tests/modern.py`); the one of this machine may be years old."""

SERVERS = ("valkey", "redis")
ENGINES = ("local", "docker", MODERN, "swarm", *SERVERS)
"""The engines of tests, and the servers of tests of the Redis tools, as the ids of their parameters name them."""


FEW = 12
"""The tests of a file that share an engine, because they share a stack, which takes seconds to start."""


def sample(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the tests of the sample, in their order."""
    tests = [item for item in items if not item.get_closest_marker("thorough")]
    variants = defaultdict(list)
    for item in tests:
        if name := engine(item.nodeid):
            variants[_without_engine(item.nodeid)].append(name)
    shared = Counter(_file(test) for test, names in variants.items() if len(names) > 1)
    return [item for item in tests if _is_chosen(item, variants.get(_without_engine(item.nodeid), ()), shared)]


def _is_chosen(item: pytest.Item, variants: Sequence[str], shared: Mapping[str, int]) -> bool:
    name, test = engine(item.nodeid), _without_engine(item.nodeid)
    if item.get_closest_marker("every_engine"):
        if name == "swarm":
            return choose(test, ("swarm", "", "", "")) == name
        daemons = [variant for variant in variants if variant in ("docker", MODERN)]
        return name not in daemons or name == choose(test, daemons)
    if len(variants) <= 1:
        return True
    if marker := item.get_closest_marker("sampled_on"):
        return name in marker.args
    key = test if name in SERVERS or shared[_file(test)] > FEW else _file(test)
    return name == choose(key, variants)


def _file(test: str) -> str:
    return test.partition("::")[0]


def choose(test: str, variants: Sequence[str]) -> str:
    """Return the engine that a test of several engines runs on."""
    return sorted(variants)[zlib.crc32(test.encode()) % len(variants)]


def engine(test: str) -> str:
    """Return the engine in the id of a test, or ""."""
    _, _, parameters = test.partition("[")
    return next((part for part in parameters.removesuffix("]").split("-") if part in ENGINES), "")


def _without_engine(test: str) -> str:
    name = engine(test)
    return test.replace(f"[{name}", "[", 1) if f"[{name}" in test else test.replace(f"-{name}", "", 1)


class ByDaemon(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Gives the tests of one file to one process, and those that need a separate daemon to the process that has it.

    A Swarm or a modern engine takes seconds to start, and a third of a processor.
    """

    def _split_scope(self, nodeid: str) -> str:
        path, _, _ = nodeid.partition("::")
        name = engine(nodeid)
        return name if name in ("swarm", MODERN) else path
