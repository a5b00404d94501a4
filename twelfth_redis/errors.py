"""Errors of the admin programs: each is one line for the operator, and most suggest the next command.

This module does not import redis-py, since a backup is verified without it. Errors of redis-py are translated in
`twelfth_redis.connection.redis_errors`.
"""

import signal


class RedisToolError(Exception):
    """An error that is printed without a traceback; `exit_code` is the exit code of the process."""

    exit_code = 1


class RefusedError(RedisToolError):
    """The program refuses to do its work; the message suggests the next command."""


class LockLostError(RefusedError):
    """Another process has the lock now: nothing was written."""


class MisuseError(RefusedError):
    """An argument is invalid."""

    exit_code = 2


class StoppedError(RefusedError):
    """A signal stopped the program; `number` is the signal's."""

    def __init__(self, number: int, hint: str = "") -> None:
        super().__init__("; ".join(filter(None, (f"stopped by {signal.Signals(number).name}", hint))))
        self.number = number
        self.exit_code = 128 + number


class SettingsError(RedisToolError):
    """The environment is invalid; the message never contains a password."""

    exit_code = 2


class UnavailableError(RedisToolError):
    """Redis is unavailable; the message says why."""


class FormatError(RedisToolError):
    """The file is not a valid backup; the message says why and what to do."""
