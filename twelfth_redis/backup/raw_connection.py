"""A connection that sends many packed commands at once and reads a large reply in pieces.

redis-py cannot read a reply in pieces, and takes several µs to read one, longer than Redis takes for the command;
hiredis, which redis-py uses too, takes a tenth. Address, TLS, password and timeouts are those of redis-py's connection.
"""

from collections.abc import Iterator

import redis

RECEIVED = 1 << 16
PIECE = 1 << 20
"""The most bytes of a large reply that are in memory at a time."""


class RawConnection:
    """A separate connection to the client's database."""

    def __init__(self, client: redis.Redis) -> None:
        """Connect; raises redis.ConnectionError, as all methods do."""
        import hiredis  # a backup of small values works without it

        pool = client.connection_pool
        self._connection = pool.connection_class(**pool.connection_kwargs)
        self._connection.connect()
        self._reader = hiredis.Reader(replyError=redis.ResponseError)
        self._unread = b""

    def close(self) -> None:
        """Close the connection; a transaction that was not executed is dropped."""
        self._connection.disconnect()

    def send(self, *parts: bytes) -> None:
        """Send packed commands."""
        self._connection.send_packed_command(parts, check_health=False)

    def replies(self, count: int) -> list[object]:
        """Return the next `count` replies; an error reply is returned as a value."""
        return [self._reply() for _ in range(count)]

    def receive(self, count: int) -> list[object]:
        """Return the next `count` replies; if some are errors, raise the first one after reading all."""
        replies = self.replies(count)
        _refuse(replies)
        return replies

    def executed(self) -> list[object]:
        """Return the replies of a transaction; raises redis.WatchError if it was not executed, and ResponseError."""
        (replies,) = self.receive(1)
        if not isinstance(replies, list):
            raise redis.WatchError
        _refuse(replies)
        return replies

    def line(self) -> bytes:
        """Return the next line of the replies, the header of one that `pieces` reads; raises ResponseError."""
        while b"\r\n" not in self._unread:
            self._unread += self._received(RECEIVED)
        line, self._unread = self._unread.split(b"\r\n", 1)
        if line.startswith(b"-"):
            raise redis.ResponseError(line[1:].decode(errors="backslashreplace"))
        return line

    def pieces(self, length: int) -> Iterator[bytes]:
        """Yield the next `length` bytes in pieces."""
        while length:
            piece = self._unread[:length] or self._received(min(length, PIECE))
            self._unread = self._unread[len(piece) :]
            length -= len(piece)
            yield piece

    def _reply(self) -> object:
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._received(RECEIVED))
        return reply

    def _received(self, most: int) -> bytes:
        try:
            received = self._connection._sock.recv(most)  # noqa: SLF001 - redis-py's parsers read from it, too
        except TimeoutError:
            raise redis.TimeoutError("Timeout reading from socket") from None
        except OSError as error:
            raise redis.ConnectionError(str(error)) from error
        if not received:
            raise redis.ConnectionError("Connection closed by server.")
        return bytes(received)


def packed(*words: bytes | str | int) -> bytes:
    """Return a command in Redis protocol."""
    import hiredis

    return bytes(hiredis.pack_command(words))  # type: ignore[arg-type] # its stub knows tuples of one word only


def _refuse(replies: list[object]) -> None:
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
