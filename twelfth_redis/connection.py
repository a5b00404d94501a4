"""Connections to Redis on which every wait has a limit and no command is sent twice.

redis-py 8 repeats a failed command ten times with backoff (`redis.client.Redis.__init__`, `retry`). If only the reply
was lost, the command is executed twice. Here nothing is repeated.
"""

import contextlib
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, NamedTuple

import redis
from redis._parsers import _HiredisParser
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.utils import HIREDIS_AVAILABLE, SENTINEL

from twelfth_redis.errors import RefusedError, UnavailableError
from twelfth_redis.refusal import correction, is_command_missing, is_right_missing, note_refusal, subject, words
from twelfth_redis.settings import Settings, read_settings

PATIENCE_SECONDS = 3.0
"""How long `connect` retries while Redis starts, and how long one connection may take."""

ANSWER_SECONDS = 10.0
"""How long the first answer may take: Redis may be paused, or busy with a long command of another client."""

LOADING_SECONDS = 60.0
"""How long `connect` waits while Redis loads its data."""

REPLY_SECONDS = 60.0
"""How long one command may take; this suits a batch on a busy server, not a hit."""


def connect(environment: Mapping[str, str]) -> redis.Redis:
    """Return a client, once Redis answers; its timeouts suit bulk work.

    A refused PING counts as an answer: MISCONF refuses PING while reads work, and a user may lack the right to it.
    The program's own commands report what Redis refuses.

    Raises SettingsError, RefusedError if the address, the password or the certificate is wrong, and UnavailableError if
    the server does not answer in time.
    """
    settings = read_settings(environment)
    client = make_client(settings, connect_seconds=PATIENCE_SECONDS, reply_seconds=REPLY_SECONDS)
    started = time.monotonic()
    while True:
        try:
            with deadline(ANSWER_SECONDS):
                _greet(client)
        except redis.RedisError as error:
            if is_lasting(error):
                refused = f"cannot use {settings.address}: {reason(error).rstrip('.')}"
                raise RefusedError(f"{refused}. Try: {_correction(error)}") from error
            patience = LOADING_SECONDS if code(error) == "LOADING" else PATIENCE_SECONDS
            if time.monotonic() - started > patience:
                raise UnavailableError(f"{settings.address} {_absence(error)}. Try: invoke status") from error
            time.sleep(0.1)
        else:
            return client


def _greet(client: redis.Redis) -> None:
    """Connect, authenticate, select the database and send PING.

    A refused PING is an error only if the server answers no command at the moment. This uses a separate connection:
    redis-py's pool does not report an error that the server sends before any command, such as too many clients.
    """
    pool = client.connection_pool
    connection = pool.connection_class(**pool.connection_kwargs)
    try:
        connection.connect()
        connection.send_command("PING")
        try:
            connection.read_response()
        except redis.ResponseError as error:
            if code(error) in SILENT:
                raise
    finally:
        connection.disconnect()


def _correction(error: redis.RedisError) -> str:
    if code(error) == "NOPERM":
        return "allow this user SELECT, or use database 0"
    if isinstance(error, redis.AuthenticationError):
        return "correct the user and the password in REDIS_URL"
    if "DB index" in str(error) or "cluster mode" in str(error):
        return "correct the number of the database in REDIS_URL"
    if isinstance(error, redis.ResponseError):
        return "invoke logs redis"
    return "correct REDIS_URL, or HOST_REDIS and PORT_REDIS"


def _absence(error: redis.RedisError) -> str:
    return f"{'answers no command at the moment' if code(error) else 'does not answer'}: {reason(error).rstrip('.')}"


def make_client(settings: Settings, *, connect_seconds: float, reply_seconds: float) -> redis.Redis:
    """Return a client with a limit for each step, without connecting yet."""
    options: dict[str, Any] = dict(settings.tls_options)
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"] not in {"0", "false", "False", "no"}
    if HIREDIS_AVAILABLE:  # redis-py's own parser applies the timeout to each part of a reply
        options["parser_class"] = PromptParser
    options |= {
        "connection_class": PromptTLSConnection if settings.tls else PromptConnection,
        "host": settings.host,
        "port": settings.port,
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "socket_connect_timeout": connect_seconds,
        "socket_timeout": reply_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # no HELLO and no CLIENT SETINFO: a new connection costs no further round trip
        "driver_info": None,
    }
    return redis.Redis(connection_pool=redis.ConnectionPool(**options))


SILENT = frozenset({"LOADING", "BUSY", "MASTERDOWN"})
"""Error codes for nearly every command: the server loads its data, runs a long script, or is a replica without its
primary."""
CLUSTER = frozenset({"CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "CROSSSLOT"})
"""Error codes of a cluster."""
NO_CLUSTER = "use a Redis that is not a cluster"
PASSING = SILENT | {"MISCONF", "OOM", "READONLY", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "INPROG", "UNKILLABLE"}
"""Error codes of a state that can change without an operator: the disk or memory is full, the server is still a
replica, it has too few replicas, and so on."""

_CODE = re.compile(r"[A-Z]+(?= )")


@contextlib.contextmanager
def redis_errors(note: str = "") -> Iterator[None]:
    """Translate redis-py's errors inside the block into errors with a hint; `note` is added to the reason."""
    try:
        yield
    except redis.RedisError as error:
        kind = RefusedError if is_lasting(error) else UnavailableError
        raise kind(_meaning(error, note)) from error


def _meaning(error: redis.RedisError, note: str) -> str:
    what, remedy = _judged(error)
    refused = f" ({about})" if (about := subject(error)) else ""
    why = "; ".join(filter(None, (f"{reason(error).rstrip('.')}{refused}", note)))
    return f"{what}: {why}. Try: {remedy}"


def _judged(error: redis.RedisError) -> tuple[str, str]:
    if isinstance(error, redis.ConnectionError | redis.TimeoutError) and not code(error):
        return "lost the connection to Redis", "invoke status"
    if code(error) in CLUSTER:
        return "this Redis is a cluster, which is unsupported", NO_CLUSTER
    if code(error) == "READONLY":
        return "this Redis is a replica", "set REDIS_URL to its primary; after a failover, repeat the command"
    if is_forbidden(error):
        unknown = is_command_missing(why := reason(error))
        what = "this Redis does not know a command" if unknown else "Redis does not allow this user a command"
        return what, correction(error, why)
    return f"Redis refuses{'' if is_lasting(error) else ' at the moment'}", "invoke logs redis"


def code(error: redis.RedisError) -> str:
    """Return the code of an error reply, such as WRONGTYPE, "ERR" if it has none, and "" for any other error.

    redis-py separates the codes that it knows from the message, and adds a prefix to it in a pipeline.
    """
    if error.status_code or not isinstance(error, redis.ResponseError):
        return error.status_code or ""
    match = _CODE.match(words(error))
    return match[0] if match else "ERR"


def reason(error: redis.RedisError) -> str:
    """Return the server's message with its code, some of which redis-py removes, or why there is no answer."""
    if isinstance(error.__context__, FileNotFoundError):
        return "a file that the address names (ssl_ca_certs, ssl_certfile, ssl_keyfile) is missing"
    return " ".join(filter(None, (error.status_code, words(error))))


def is_forbidden(error: redis.RedisError) -> bool:
    """Return whether Redis refused a command because the user lacks the right, or it is unknown or renamed."""
    why = reason(error)  # a forbidden EXEC replies EXECABORT, with NOPERM as its reason
    return is_right_missing(why) or is_command_missing(why)


def is_lasting(error: redis.RedisError) -> bool:
    """Return whether a retry is useless until an operator changes the address, a right or the command.

    False if the server is unavailable or in a state that can change without an operator (`PASSING`).
    """
    cause = error.__context__  # the socket's error, which redis-py caught
    if isinstance(cause, ssl.SSLError):
        return not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    if isinstance(cause, FileNotFoundError) or isinstance(error, redis.AuthenticationError | redis.InvalidResponse):
        return True
    return isinstance(error, redis.ResponseError) and code(error) not in PASSING


class Deadline(NamedTuple):
    """The time on the monotonic clock at which all steps must be finished, and the limit in seconds."""

    at: float = math.inf
    seconds: float = math.inf

    def remaining(self, most: float) -> float:
        """Return the seconds that a step may take, at most `most`; raises redis.TimeoutError if none remain."""
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise redis.TimeoutError(f"Redis took more than {self.seconds:g} s for all steps of a request")
        return min(most, seconds)


_deadline: ContextVar[Deadline] = ContextVar("deadline", default=Deadline())  # noqa: B039 - it is frozen


class deadline:  # noqa: N801 - used as a function, and twice as fast as a generator: each hit has one
    """Limit the seconds that this thread waits for Redis inside the block, all steps together."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        """Start the clock."""
        self._before = _deadline.set(Deadline(time.monotonic() + self._seconds, self._seconds))

    def __exit__(self, *_: object) -> None:
        """Restore the deadline of an outer block, if there is one."""
        _deadline.reset(self._before)


def connect_within(connect: Callable[[], socket.socket], seconds: float) -> socket.socket:
    """Call `connect`, or raise TimeoutError after `seconds`: name resolution has no timeout.

    A socket that arrives too late is closed.
    """
    outcome: Future[socket.socket] = Future()

    def attempt() -> None:
        try:
            outcome.set_result(connect())
        except Exception as error:  # noqa: BLE001 - raised below, in the calling thread
            outcome.set_exception(error)

    threading.Thread(target=attempt, name="redis-connect", daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError:
        outcome.add_done_callback(_close)
        raise


def _close(late: Future[socket.socket]) -> None:
    if late.exception() is None:
        late.result().close()


def _limit(connection: socket.socket, most: float) -> None:
    """Set the timeout of the next step; only if it differs, because a system call gives way to another thread."""
    seconds = _deadline.get().remaining(most)
    if connection.gettimeout() != seconds:
        connection.settimeout(seconds)


class PromptParser(_HiredisParser):
    """A parser that stops reading a reply at the deadline."""

    def read_from_socket(self, timeout: Any = SENTINEL, raise_on_timeout: bool = True) -> bool:  # noqa: ANN401, FBT001, FBT002 - redis-py's own signature
        """Read from the socket, waiting no longer than the deadline allows."""
        if timeout is SENTINEL and self._sock:
            _limit(self._sock, self._socket_timeout)
        return bool(super().read_from_socket(timeout, raise_on_timeout))  # type: ignore[no-untyped-call]


class PromptConnection(redis.Connection):
    """A connection whose timeout includes name resolution and all addresses.

    Its error replies record the server and, if the command was sent alone, the command.
    """

    _last_command: tuple[object, ...] = ()

    def send_command(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - redis-py's own signature
        """Send a command, and keep it for error replies."""
        super().send_command(*args, **options)  # type: ignore[no-untyped-call]
        self._last_command = args

    def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's own signature
        """Return the reply; raises redis.ResponseError that records the command and the server."""
        try:
            reply = super().read_response(*args, **options)
        except redis.ResponseError as error:
            self._note(error, self._last_command)
            raise
        if isinstance(reply, list) and not self._last_command:  # the replies of a transaction
            for item in reply:
                if isinstance(item, redis.ResponseError):
                    self._note(item, ())
        return reply

    def _note(self, error: redis.ResponseError, command: tuple[object, ...]) -> None:
        tls = isinstance(self, redis.SSLConnection)
        address = Settings(str(self.host), int(self.port), int(self.db), tls=tls).address
        note_refusal(error, command, address, str(self.username or "default"))

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ANN401, FBT001, FBT002 - redis-py's own signature
        """Send commands, unless the deadline is over: a command that was not sent is not executed."""
        self._last_command = ()
        if self._sock:
            _limit(self._sock, self.socket_timeout or math.inf)
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

    def _connect(self) -> socket.socket:
        return connect_within(super()._connect, _deadline.get().remaining(self.socket_connect_timeout or math.inf))


class PromptTLSConnection(PromptConnection, redis.SSLConnection):
    """The same for TLS; the timeout includes the handshake."""

    def can_read(self, timeout: float = 0) -> bool:
        """Return whether a reply of Redis is waiting.

        With TLS 1.3 the server sends session tickets without a request (RFC 8446, section 4.6.1). redis-py's pool
        mistakes them for an unread reply and refuses the connection. So this reads them.
        """
        return super().can_read(timeout) and self._parser.read_from_socket(timeout=0, raise_on_timeout=False)
