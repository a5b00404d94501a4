"""The name of a replica."""

from __future__ import annotations

import socket

import pytest

from service.middleware import read_replica
from twelfth_redis.errors import SettingsError


def test_a_replica_is_named_by_its_environment_or_by_its_host() -> None:
    """An empty variable is one that is not there."""
    host = socket.gethostname()

    assert ("one", host, host) == (read_replica({"REPLICA": "one"}), read_replica({"REPLICA": ""}), read_replica({}))


def test_a_replica_that_would_break_a_header_is_refused() -> None:
    """The name goes into X-Served-By."""
    with pytest.raises(SettingsError, match="REPLICA"):
        read_replica({"REPLICA": "a\r\nSet-Cookie: b"})
