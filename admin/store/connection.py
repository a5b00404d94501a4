"""The way of the admin processes to Redis: as patient as bulk work needs, and still nothing is ever sent twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis

from admin.store.face import RefusedError
from service.link import connection_arguments
from service.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS = 3.0
"""How long to wait for a Redis that is starting; only the asking is repeated."""

LOADING_SECONDS = 60.0
"""How long to wait for one that answers, but reads its data still."""

REPLY_SECONDS = 60.0
"""How long one command may take: a batch on a busy server, not a hit."""


def connect(environment: Mapping[str, str]) -> redis.Redis:
    """Return a client of the Redis that the environment names, which answered just now.

    Raises SettingsError, and RefusedError where it does not answer.
    """
    settings = read_settings(environment)
    arguments = connection_arguments(settings) | {"socket_timeout": REPLY_SECONDS}
    client = redis.Redis(connection_pool=redis.ConnectionPool(**arguments))
    began = time.monotonic()
    while True:
        try:
            client.ping()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            loading = isinstance(error, redis.BusyLoadingError)
            if time.monotonic() - began > (LOADING_SECONDS if loading else PATIENCE_SECONDS):
                away = f"{settings.address} is away ({error}); `invoke status` tells more"
                raise RefusedError(away) from error
            time.sleep(0.1)
        else:
            return client
