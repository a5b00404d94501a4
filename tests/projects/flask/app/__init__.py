"""Count the visits of a page in Redis."""

import os

import redis
from flask import Flask

app = Flask(__name__)
store = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.get("/")
def index() -> str:
    """Return the number of visits."""
    return f"{store.incr('visits')}\n"


@app.get("/health")
def health() -> str:
    """Return whether Redis answers."""
    store.ping()
    return "ok\n"
