"""Read the facts about a server that backup and restore need (https://redis.io/docs/latest/commands/info/)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import redis

from twelfth_redis.backup.omitted import Omitted, few, few_databases
from twelfth_redis.connection import NO_CLUSTER, is_forbidden
from twelfth_redis.errors import RefusedError
from twelfth_redis.keys import FENCE, LOCK


@dataclass(frozen=True)
class ServerInfo:
    """Facts about a server; memory in bytes: total, limit (0: none), and that of the data.

    `freeing` is the number of deleted keys whose memory is not freed yet. `databases` has the databases with keys, and
    their numbers of keys. `modules` are the loaded modules that are not part of the server.
    """

    name: str
    replica: bool
    memory: int
    limit: int
    policy: str
    dataset: int
    freeing: int
    database: int
    databases: Mapping[int, int] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    libraries: int | None = None

    @property
    def evicts(self) -> bool:
        """Return whether it deletes keys when its memory is full."""
        return self.limit > 0 and self.policy != "noeviction"

    def lacks_room(self, more: int) -> bool:
        """Return whether `more` bytes would exceed the limit."""
        return self.limit > 0 and self.memory + more > self.limit


BUILT_IN = frozenset({"lua", "vectorset"})
"""Modules that are part of Valkey 9 and Redis 8: all their data is in keys."""


def observe(client: redis.Redis) -> ServerInfo:
    """Ask the server for INFO; raises RefusedError for a cluster, whose keys are on several nodes."""
    info = client.info()
    if str(info.get("cluster_enabled")) == "1":
        raise RefusedError(f"this Redis is a cluster, which is unsupported. Try: {NO_CLUSTER}")
    product = str(info.get("server_name", "redis"))  # Valkey reports its own name and version
    memory = int(info.get("used_memory", 0))
    return ServerInfo(
        name=f"{product} {info.get(f'{product}_version') or info.get('redis_version')}",
        replica=info.get("role") == "slave",
        memory=memory,
        limit=int(info.get("maxmemory", 0)),
        policy=str(info.get("maxmemory_policy", "noeviction")),
        dataset=max(0, memory - int(info.get("used_memory_startup", 0))),
        freeing=int(info.get("lazyfree_pending_objects", 0)),
        database=database_of(client),
        databases={
            int(name[2:]): int(keyspace["keys"]) for name, keyspace in info.items() if _DATABASE.fullmatch(name)
        },
        modules=tuple(str(module["name"]) for module in info.get("modules", ()) if module["name"] not in BUILT_IN),
        libraries=info.get("number_of_libraries"),
    )


def observe_if_allowed(client: redis.Redis) -> ServerInfo | None:
    """Return the facts about the server, None if this user has no right to ask."""
    try:
        return observe(client)
    except redis.ResponseError as error:
        if not is_forbidden(error):
            raise
    client.exists(LOCK, FENCE)  # a cluster refuses this, as the keys are on different nodes: CROSSSLOT, CLUSTERDOWN
    return None


def database_of(client: redis.Redis) -> int:
    """Return the number of the client's database."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def user_of(client: redis.Redis) -> str:
    """Return the name of the client's user."""
    return str(client.connection_pool.connection_kwargs.get("username") or "default")


def observe_omitted(client: redis.Redis, server: ServerInfo | None) -> Omitted:
    """Return what a backup of the client's database omits, as far as this user may ask."""
    unknown = [] if server else ["databases", "modules"]
    functions = _if_allowed(lambda: [_text(library[1]) for library in client.function_list()])
    if functions is None and not (server and server.libraries == 0):
        unknown.append("function libraries")
    users = _if_allowed(lambda: [_text(name) for name in client.acl_users()])
    if users is None:
        unknown.append("ACL users")
    others = {number: keys for number, keys in server.databases.items() if number != server.database} if server else {}
    return Omitted(
        databases=few_databases(others),
        functions=few(sorted(functions or ())),
        users=few(sorted(name for name in users or () if name != "default")),
        modules=few(server.modules if server else ()),
        unknown=tuple(unknown),
    )


def _if_allowed(ask: Callable[[], list[str]]) -> list[str] | None:
    try:
        return ask()
    except redis.ResponseError as error:
        if not is_forbidden(error):
            raise
        return None


def _text(name: bytes | str) -> str:
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else name


_DATABASE = re.compile(r"db\d+")
