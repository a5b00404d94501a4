"""Remember since when it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.counter import SINCE
from twelfth_redis.schema.revisions import now

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

FORMER_CHECKSUMS = ("c9221ac21a82c914b96e6c09020a129a05eb56d5e58e39a67b4efd81b765c30f",)


def up(_read: Redis, write: Pipeline) -> None:
    """Say "since now", where no reset has said it already."""
    write.set(SINCE, now(), nx=True)


def down(_read: Redis, write: Pipeline) -> None:
    """Forget it."""
    write.delete(SINCE)
