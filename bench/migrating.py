"""Let each key of a keyspace expire: as a migration (`ours`), or in the loop that one would write by hand (`loop`)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from twelfth_redis.connection import connect
from twelfth_redis.lock import hold_lock, owner
from twelfth_redis.schema import runner
from twelfth_redis.schema.history import Applied
from twelfth_redis.schema.migration import Migration, Way
from twelfth_redis.schema.pace import Pace
from twelfth_redis.schema.plan import Move
from twelfth_redis.schema.revisions import now

if TYPE_CHECKING:
    import redis
    from redis.client import Pipeline

MATCH, SECONDS = "key:*", 86400


def each(keys: list[bytes], _read: redis.Redis, write: Pipeline) -> None:
    """Queue a batch."""
    for key in keys:
        write.expire(key, SECONDS)


def ours(client: redis.Redis) -> int:
    """Migrate; return how many keys there were."""
    move = Move(Migration("0003", "Let keys expire", "", Way(each=each, match=MATCH)))
    with hold_lock(client, owner("bench", os.environ)) as lock:
        return runner.apply(lock, move, Applied("0003"), Pace(print), now)


def loop(client: redis.Redis) -> int:
    """Do the same with a pipeline for each thousand keys, and nothing else; return how many keys there were."""
    done = 0
    with client.pipeline(transaction=False) as pipe:
        for key in client.scan_iter(match=MATCH, count=1000):
            pipe.expire(key, SECONDS)
            done += 1
            if done % 1000 == 0:
                pipe.execute()
        pipe.execute()
    return done


if __name__ == "__main__":
    print({"ours": ours, "loop": loop}[sys.argv[1]](connect(os.environ)))
