"""Adopt the counter that may exist already, or begin one at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.counter import KEY, integer
from twelfth_redis.errors import RefusedError

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

FORMER_CHECKSUMS = ("5b6e9f771cf8fe367ca25574b0b8c50f147b26110ac880a08aecdb6cb9394abc",)


def up(read: Redis, write: Pipeline) -> None:
    """Leave a counter as it is; raises RefusedError for what cannot be counted on.

    Requests may be counted meanwhile: INCR keeps an integer, and NX keeps a counter that they have created.
    """
    kind = read.type(KEY)
    value = read.get(KEY) if kind == b"string" else None
    if kind != b"none" and integer(value) is None:
        what = repr(value[:40]) if value is not None else f"a {str(kind, 'ascii') if isinstance(kind, bytes) else kind}"
        raise RefusedError(f"the key {KEY} holds {what}, which is no integer, and is left alone; try: invoke reset")
    write.set(KEY, 0, nx=True)


def down(_read: Redis, _write: Pipeline) -> None:
    """Leave the counter: it may have been there before."""
