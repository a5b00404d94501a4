"""Record in redis-py's errors which command was refused, and by which server."""

import re

import redis

_IN_PIPELINE = re.compile(r"Command # \d+ \((.*)\) of pipeline caused error: ", re.DOTALL)
"""The prefix of redis-py's errors in a pipeline: it contains the whole command, and may show data."""

_SECRET = frozenset({"AUTH", "HELLO", "CONFIG SET", "ACL SETUSER"})
"""Commands whose arguments may be secrets."""
_SCRIPTS = frozenset({"EVAL", "EVALSHA"})
_FIRST_KEY = 3
"""The position of a script's first key, after the script and the number of its keys."""
_LONGEST = 80
"""Characters of a key that are shown."""


def note_refusal(error: redis.ResponseError, command: tuple[object, ...], server: str) -> None:
    """Record in an error the refused command and the server."""
    error.refused = (named(command), server)  # type: ignore[attr-defined]


def subject(error: redis.RedisError) -> str:
    """Return the refused command and the server, such as `HVALS key, sent to redis://host:6379/0`, or ""."""
    command, server = getattr(error, "refused", ("", ""))
    if not command and (found := _IN_PIPELINE.match(str(error))):
        first, *others = found[1].split(" ")  # of a script these may be anything
        command = first if first in _SCRIPTS else named((first, *others[:1]))
    return ", ".join(filter(None, (command, f"sent to {server}" if server else "")))


def words(error: redis.RedisError) -> str:
    """Return the server's error without redis-py's prefix of a pipeline."""
    return _IN_PIPELINE.sub("", str(error), count=1)


def named(command: tuple[object, ...]) -> str:
    """Return a command and its first key, such as `SET hits`, without the value, which may be a secret."""
    texts = [_text(word) for word in command[: _FIRST_KEY + 1]]
    if not texts:
        return ""
    first = texts[0].upper()
    if first in _SCRIPTS:
        return " ".join((first, *texts[_FIRST_KEY:]))
    return first if _SECRET & {first, " ".join(texts[:2]).upper()} else " ".join((first, *texts[1:2]))


def _text(word: object) -> str:
    text = word.decode(errors="backslashreplace") if isinstance(word, bytes) else str(word)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
