"""Try the commands that a restore needs, in forms that change nothing, before anything is loaded.

ACL DRYRUN would require further rights, and does not exist before Redis 7. NOPERM means that the user may not run a
command, "unknown command" that it was renamed. Any other error shows that the command is allowed.
"""

import contextlib
import re
import secrets
from collections.abc import Sequence

import redis

from twelfth_redis.backup.format import empty_payload
from twelfth_redis.backup.raw_connection import RawConnection, packed
from twelfth_redis.connection import is_forbidden
from twelfth_redis.errors import RefusedError

Words = tuple[str | bytes | int, ...]


def _probes(key: str, database: int) -> tuple[Words, ...]:
    """Return the commands that a restore uses, with a missing key, except for those that `staging.claim` tries."""
    return (
        ("INFO", "server"),
        ("CLIENT", "LIST"),
        ("TIME",),
        ("DBSIZE",),
        ("SELECT", database),
        ("GET", key),
        ("MGET", key, key),
        ("EXISTS", key),
        ("HVALS", key),
        ("SET", key, "", "XX"),
        ("PEXPIRE", key, 1),
        ("DEL", key),
        ("COPY", key, f"{key}:copy"),
        ("RESTORE", key, 0, empty_payload(0)),
        ("EVAL", "return 0", 0),
        ("EVALSHA", "0" * 40, 0),
        ("SCRIPT", "LOAD", "return 0"),
        ("WATCH", key),
        ("UNWATCH",),
        ("MULTI",),
        ("EXEC",),
    )


def _name(words: Words) -> str:
    return " ".join(map(str, words[:2] if words[0] in {"CLIENT", "SCRIPT"} else words[:1]))


NEEDED = (*map(_name, _probes("", 0)), "SWAPDB", "FLUSHDB")
"""All commands that a restore uses; `staging.claim` tries the last two in the empty staging database."""


def refuse_forbidden(client: redis.Redis) -> None:
    """Raise RefusedError if the server does not allow a command that a restore needs."""
    arguments = client.connection_pool.connection_kwargs
    database = int(arguments.get("db") or 0)
    probes = _probes(secrets.token_hex(8), database)
    with contextlib.closing(RawConnection(client)) as raw:
        raw.send(*(packed(*words) for words in probes))
        replies = raw.replies(len(probes))
    refused = {
        _name(words): str(reply)
        for words, reply in zip(probes, replies, strict=True)
        if isinstance(reply, redis.ResponseError) and is_forbidden(reply)
    }
    if refused:
        raise RefusedError(forbidden([*refused], [*refused.values()], str(arguments.get("username") or "default")))


def forbidden(names: Sequence[str], why: Sequence[str], user: str) -> str:
    """Return the error for commands that a restore needs and may not use."""
    rights = " ".join(f"+{name.lower().replace(' ', '|')}" for name in names)
    if any(re.search("access (a|one of the) key", line) for line in why):
        rights += " ~*"
    renamed = any("unknown" in line.lower() for line in why)
    remedy = "remove its rename-command" if renamed else f"redis-cli ACL SETUSER {user} {rights}"
    return (
        f"a restore needs {', '.join(names)}, which this Redis does not allow: {why[0].rstrip('.')}; the data is as it "
        f"was. Try: {remedy}; or load the file over what is there: zcat FILE | redis-cli --pipe"
    )
