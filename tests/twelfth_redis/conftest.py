"""Servers for the tests of a module: one with data of all types in mind, one that survives being killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import DurableRedis
from tests.twelfth_redis.stores import Store, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Give a server for all tests of a module."""
    with serving(tmp_path_factory.mktemp("redis")) as store:
        yield store


@pytest.fixture
def store(shared: Store) -> Store:
    """Give a server without data."""
    shared.client.flushall()
    return shared


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableRedis]:
    """Give a server for all tests of a module, which has all its data again when it is restarted."""
    started = DurableRedis(tmp_path_factory.mktemp("redis"))
    yield started
    started.client.close()
    started.kill()
