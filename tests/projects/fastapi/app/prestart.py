"""Prepare the data before the web service starts."""

import os

import redis

redis.Redis.from_url(os.environ["REDIS_URL"]).set("revision", 1)
