"""What backup and restore must know of the server before they begin (https://redis.io/docs/latest/commands/info/)."""

from dataclasses import dataclass

import redis

from twelfth_redis.errors import RefusedError


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself; memory in bytes: all, the most allowed (0: no limit), and what the data takes.

    `freeing` is how many keys were deleted whose memory it has not given back yet.
    """

    name: str
    replica: bool
    memory: int
    limit: int
    policy: str
    dataset: int
    freeing: int
    database: int

    @property
    def evicts(self) -> bool:
        """Return whether it deletes keys when its memory is full."""
        return self.limit > 0 and self.policy != "noeviction"

    def lacks_room(self, more: int) -> bool:
        """Return whether so many bytes more are over its limit."""
        return self.limit > 0 and self.memory + more > self.limit


def observe(client: redis.Redis) -> ServerInfo:
    """Return what the server says; raises RefusedError where it is a cluster: its keys are not all in one place."""
    info = client.info()
    if str(info.get("cluster_enabled")) == "1":
        raise RefusedError("this Redis is a cluster, which is not honoured; use its own tools: redis-cli --cluster")
    product = str(info.get("server_name", "redis"))  # Valkey goes by its own name and version
    memory = int(info.get("used_memory", 0))
    return ServerInfo(
        name=f"{product} {info.get(f'{product}_version') or info.get('redis_version')}",
        replica=info.get("role") == "slave",
        memory=memory,
        limit=int(info.get("maxmemory", 0)),
        policy=str(info.get("maxmemory_policy", "noeviction")),
        dataset=max(0, memory - int(info.get("used_memory_startup", 0))),
        freeing=int(info.get("lazyfree_pending_objects", 0)),
        database=int(client.connection_pool.connection_kwargs.get("db") or 0),
    )
