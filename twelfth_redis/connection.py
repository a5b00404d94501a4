"""The way of the admin processes to Redis: as patient as bulk work needs, and still nothing is ever sent twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis

from service.breaker import connection_arguments, is_lasting, reason
from twelfth_redis.errors import RefusedError
from twelfth_redis.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS = 3.0
"""How long to wait for a Redis that is starting, where only the asking is repeated, and for any connection."""

LOADING_SECONDS = 60.0
"""How long to wait for one that answers, but reads its data still."""

REPLY_SECONDS = 60.0
"""How long one command may take: a batch on a busy server, not a hit."""


def connect(environment: Mapping[str, str]) -> redis.Redis:
    """Return a client of the Redis that the environment names, which answered just now.

    Raises SettingsError, and RefusedError where it does not answer: at once where asking again would be in vain.
    """
    settings = read_settings(environment)
    patient = {"socket_timeout": REPLY_SECONDS, "socket_connect_timeout": PATIENCE_SECONDS}
    arguments = connection_arguments(settings) | patient
    client = redis.Redis(connection_pool=redis.ConnectionPool(**arguments))
    began = time.monotonic()
    while (error := _tried(client)) is not None:
        loading = isinstance(error, redis.BusyLoadingError)
        if is_lasting(error):
            wrong = f"{settings.address} cannot be used like this ({reason(error)})"
            raise RefusedError(f"{wrong}; correct REDIS_URL, then repeat it") from error
        if time.monotonic() - began > (LOADING_SECONDS if loading else PATIENCE_SECONDS):
            away = f"{settings.address} is away ({reason(error)}); `invoke status` tells more"
            raise RefusedError(away) from error
        time.sleep(0.1)
    return client


def _tried(client: redis.Redis) -> redis.RedisError | None:
    """Return why Redis does not answer, or None where it does."""
    try:
        client.ping()
    except redis.RedisError as error:
        return error
    return None
