"""Servers for the tests of a module: one for data of all types, one that survives being killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import DurableRedis
from tests.twelfth_redis.stores import Store, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield a server for all tests of a module."""
    with serving(tmp_path_factory.mktemp("redis")) as store:
        yield store


@pytest.fixture
def store(shared: Store) -> Store:
    """Yield a server without data."""
    shared.client.flushall()
    return shared


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableRedis]:
    """Yield a server for all tests of a module that keeps its data over restarts."""
    started = DurableRedis(tmp_path_factory.mktemp("redis"))
    yield started
    started.client.close()
    started.kill()
