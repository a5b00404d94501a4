"""Record in redis-py's errors which command was refused, by which server, and find the command that allows it."""

import re
import shlex
from collections.abc import Sequence

import redis

_IN_PIPELINE = re.compile(r"Command # \d+ \((.*)\) of pipeline caused error: ", re.DOTALL)
"""The prefix of redis-py's errors in a pipeline: it contains the whole command, and may show data."""

_SECRET = frozenset({"AUTH", "HELLO", "CONFIG SET", "ACL SETUSER"})
"""Commands whose arguments may be secrets."""
_SCRIPTS = frozenset({"EVAL", "EVALSHA", "FCALL"})
_FIRST_KEY = 3
"""The position of a script's first key, after the script and the number of its keys."""
_FORBIDDEN = re.compile("NOPERM |ACL failure in script|The user executing the script can't")
"""Errors of a missing right: of a client, and in a script (of Valkey and Redis 7.2, and of Redis 7.0)."""
_RENAMED = re.compile("unknown (redis )?(sub)?command", re.IGNORECASE)
_KEYS = re.compile("access (a|one of the|at least one of the) key")
_NAME = re.compile(r"run the '([\w|-]+)' command")
_LONGEST = 80
"""Characters of a key that are shown."""


def note_refusal(error: redis.ResponseError, command: tuple[object, ...], server: str, user: str) -> None:
    """Record in an error the refused command, the server and the user."""
    error.refused = (named(command), server, user)  # type: ignore[attr-defined]


def subject(error: redis.RedisError) -> str:
    """Return the refused command and the server, such as `HVALS key, sent to redis://host:6379/0`, or ""."""
    server = _noted(error)[1]
    return ", ".join(filter(None, (_command(error), f"sent to {server}" if server else "")))


def _noted(error: redis.RedisError) -> tuple[str, str, str]:
    noted: tuple[str, str, str] = getattr(error, "refused", ("", "", "default"))
    return noted


def _command(error: redis.RedisError) -> str:
    command, *_ = _noted(error)
    if not command and (match := _IN_PIPELINE.match(str(error))):
        first, *others = match[1].split(" ")  # the arguments of a script may be anything
        command = first if first in _SCRIPTS else named((first, *others[:1]))
    return command


def is_right_missing(why: str) -> bool:
    """Return whether a server refused something because the user lacks a right (ACL)."""
    return _FORBIDDEN.search(why) is not None


def is_command_missing(why: str) -> bool:
    """Return whether a server refused a command because it has none of that name."""
    return _RENAMED.search(why) is not None


def is_key_refused(why: str) -> bool:
    """Return whether the right that is missing is one to a key."""
    return _KEYS.search(why) is not None


def correction(error: redis.RedisError, why: str) -> str:
    """Return the fix for an unknown command, or for one that the user may not run."""
    if is_command_missing(why):
        return "remove its rename-command, or set REDIS_URL to a primary of Redis 7 or later, not a Sentinel"
    first, _, key = _command(error).partition(" ")
    *_, user = _noted(error)
    if is_key_refused(why):
        return allowing(user, keys="twelfth:*" if key.startswith("twelfth:") else key or "*")
    name = match[1] if (match := _NAME.search(why)) else first
    return "redis-cli ACL LOG 1, which names the command" if name in {"", *_SCRIPTS} else allowing(user, [name])


def allowing(user: str, commands: Sequence[str] = (), keys: str = "") -> str:
    """Return the redis-cli command that allows a user commands, such as `MEMORY USAGE`, and keys, a glob."""
    rights = [f"+{name.lower().replace(' ', '|')}" for name in commands] + ([f"~{keys}"] if keys else [])
    return shlex.join(["redis-cli", "ACL", "SETUSER", user, *rights])


def words(error: redis.RedisError) -> str:
    """Return the server's error without redis-py's prefix of a pipeline."""
    return _IN_PIPELINE.sub("", str(error), count=1)


def is_script(command: tuple[object, ...]) -> bool:
    """Return whether a command runs a script or a function, which may have written before it failed."""
    return _text(command[0]).upper() in _SCRIPTS


def named(command: tuple[object, ...]) -> str:
    """Return a command and its first key, such as `SET hits`, without the value, which may be a secret."""
    texts = [_text(word) for word in command[: _FIRST_KEY + 1]]
    if not texts:
        return ""
    first = texts[0].upper()
    if first in _SCRIPTS:
        return " ".join((first, *(texts[_FIRST_KEY:] if texts[_FIRST_KEY - 1 : _FIRST_KEY] != ["0"] else ())))
    return first if _SECRET & {first, " ".join(texts[:2]).upper()} else " ".join((first, *texts[1:2]))


def _text(word: object) -> str:
    text = word.decode(errors="backslashreplace") if isinstance(word, bytes) else str(word)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
