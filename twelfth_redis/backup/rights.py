"""Try the commands that a restore needs, in forms that change nothing, before anything is loaded.

ACL DRYRUN would require further rights, and does not exist before Redis 7. NOPERM means that the user may not run a
command, "unknown command" that it was renamed. Any other error shows that the command is allowed.
"""

import contextlib
import secrets
from collections.abc import Mapping

import redis

from twelfth_redis.backup.format import empty_payload
from twelfth_redis.backup.raw_connection import RawConnection, packed
from twelfth_redis.backup.server_info import database_of, user_of
from twelfth_redis.connection import is_forbidden
from twelfth_redis.errors import RefusedError
from twelfth_redis.refusal import allowing, is_command_missing, is_key_refused

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
    probes = _probes(secrets.token_hex(8), database_of(client))
    with contextlib.closing(RawConnection(client)) as raw:
        raw.send(*(packed(*words) for words in probes))
        replies = raw.replies(len(probes))
    refused = {
        _name(words): str(reply)
        for words, reply in zip(probes, replies, strict=True)
        if isinstance(reply, redis.ResponseError) and is_forbidden(reply)
    }
    if refused:
        raise RefusedError(forbidden(refused, user_of(client)))


def forbidden(refused: Mapping[str, str], user: str) -> str:
    """Return the error for commands that a restore needs and may not use, each with the server's reply."""
    names = [name for name, why in refused.items() if not is_key_refused(why)]
    keys = "*" if len(names) < len(refused) else ""
    why, *_ = refused.values()
    renamed = any(map(is_command_missing, refused.values()))
    remedy = "remove its rename-command" if renamed else allowing(user, names, keys)
    return (
        f"a restore needs {', '.join([*names, *(['all keys'] if keys else [])])}, which this Redis does not allow: "
        f"{why.rstrip('.')}; the data is unchanged. Try: {remedy}; or load the file over the present data: "
        "zcat FILE | redis-cli --pipe"
    )
