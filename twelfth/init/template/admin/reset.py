"""Set the counter of hits to 0, and print its previous value."""

from __future__ import annotations

import os

import redis

if __name__ == "__main__":
    store = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=2, decode_responses=True)
    print(store.set("hits", 0, get=True) or 0)
