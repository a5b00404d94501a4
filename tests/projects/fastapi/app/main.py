"""Count the visits of a page, in data that another service prepares."""

import os

import redis
from fastapi import FastAPI

app = FastAPI()
store = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.get("/")
def index() -> dict[str, object]:
    """Return the number of visits, and the revision of the data."""
    return {"visits": store.incr("visits"), "revision": int(store.get("revision") or 0)}


@app.get("/health")
def health() -> str:
    """Return whether Redis answers."""
    store.ping()
    return "ok"
