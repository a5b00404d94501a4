"""The name of this process among its like: REPLICA in the environment, else the host's name."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from twelfth_redis.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_replica(environment: Mapping[str, str]) -> str:
    """Return the name; raises SettingsError where it would break a header, X-Served-By."""
    name = environment.get("REPLICA") or socket.gethostname()
    if not (name.isascii() and name.isprintable()):
        raise SettingsError(f"REPLICA must be printable ASCII, not {name[:40]!r}")
    return name
