"""What goes wrong in words: each error is one line for the operator, and most name the next command to type.

Nothing here needs redis-py: a backup is verified without it. What redis-py raises is translated in one place,
`twelfth_redis.connection.redis_errors`.
"""

import signal


class RedisToolError(Exception):
    """Anything that these tools say instead of a traceback; `exit_code` is what the process ends with."""

    exit_code = 1


class RefusedError(RedisToolError):
    """What was asked for is not done; the message names the next command to type."""


class LockLostError(RefusedError):
    """Somebody else has the lock now: nothing of what was to be written is."""


class MisuseError(RefusedError):
    """What was asked for cannot be."""

    exit_code = 2


class StoppedError(RefusedError):
    """A signal asked for the end; `number` is the signal's."""

    def __init__(self, number: int, hint: str = "") -> None:
        super().__init__("; ".join(filter(None, (f"stopped by {signal.Signals(number).name}", hint))))
        self.number = number
        self.exit_code = 128 + number


class SettingsError(RedisToolError):
    """The environment is wrong; the message never holds a password."""

    exit_code = 2


class UnavailableError(RedisToolError):
    """Redis cannot be used right now; the message says why."""


class FormatError(RedisToolError):
    """The file is no backup that can be used; the message says why and what to do."""
