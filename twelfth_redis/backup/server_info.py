"""What backup and restore must know of the server before they begin (https://redis.io/docs/latest/commands/info/)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth_redis.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself; memory in bytes: all, the most allowed (0: no limit), and what the data takes.

    `freeing` is how many keys were deleted whose memory it has not given back yet.
    """

    name: str
    version: str
    cluster: bool
    replica: bool
    memory: int
    limit: int
    policy: str
    dataset: int
    freeing: int
    database: int

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.version}"

    @property
    def evicts(self) -> bool:
        """Return whether it deletes keys when its memory is full."""
        return self.limit > 0 and self.policy != "noeviction"

    def lacks_room(self, more: int) -> bool:
        """Return whether so many bytes more are over its limit."""
        return self.limit > 0 and self.memory + more > self.limit


def observe(client: redis.Redis) -> ServerInfo:
    """Return what the server says; raises RefusedError where it is a cluster: its keys are not all in one place."""
    server = read_info(client.info(), int(client.connection_pool.connection_kwargs.get("db") or 0))
    if server.cluster:
        raise RefusedError("this Redis is a cluster, which is not honoured; use its own tools: redis-cli --cluster")
    return server


def read_info(info: Mapping[str, object], database: int) -> ServerInfo:
    """Return what an INFO says; Valkey goes by its own name and version."""
    name = str(info.get("server_name", "redis"))
    version = info.get(f"{name}_version") or info.get("redis_version")
    return ServerInfo(
        name=name,
        version=str(version),
        cluster=str(info.get("cluster_enabled")) == "1",
        replica=info.get("role") == "slave",
        memory=_number(info, "used_memory"),
        limit=_number(info, "maxmemory"),
        policy=str(info.get("maxmemory_policy", "noeviction")),
        dataset=max(0, _number(info, "used_memory") - _number(info, "used_memory_startup")),
        freeing=_number(info, "lazyfree_pending_objects"),
        database=database,
    )


def _number(info: Mapping[str, object], name: str) -> int:
    found = info.get(name)
    return found if isinstance(found, int) else 0
