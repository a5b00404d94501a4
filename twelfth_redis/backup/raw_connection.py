"""Many commands at once on a connection of its own, sent as they are, with every reply looked at.

redis-py takes some µs to pack a command and some to read a reply, several times what Redis takes to do it; hiredis,
which it uses too, takes a tenth. The connection itself (address, TLS, password, timeouts) is redis-py's.
"""

from collections.abc import Iterator

import redis

RECEIVED = 1 << 16
PIECE = 1 << 20
"""How many bytes of a reply that is too large to be held are there at once, at most."""


class RawConnection:
    """A connection to the database that the client uses, until it is closed."""

    def __init__(self, client: redis.Redis) -> None:
        """Connect; raises redis.ConnectionError, as everything here does."""
        import hiredis  # a backup of small values does without

        pool = client.connection_pool
        self._connection = pool.connection_class(**pool.connection_kwargs)
        self._connection.connect()
        self._reader = hiredis.Reader(replyError=redis.ResponseError)
        self._unread = b""

    def close(self) -> None:
        """Close the connection: what was not executed is not done."""
        self._connection.disconnect()

    def send(self, *parts: bytes) -> None:
        """Send commands that are packed."""
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
        """Return the replies of a transaction; raises redis.WatchError where it was not made, and ResponseError."""
        (replies,) = self.receive(1)
        if not isinstance(replies, list):
            raise redis.WatchError
        _refuse(replies)
        return replies

    def line(self) -> bytes:
        """Return the next line of the replies, for those that `receive` would hold as a whole; raises ResponseError."""
        while b"\r\n" not in self._unread:
            self._unread += self._received(RECEIVED)
        line, self._unread = self._unread.split(b"\r\n", 1)
        if line.startswith(b"-"):
            raise redis.ResponseError(line[1:].decode(errors="backslashreplace"))
        return line

    def pieces(self, length: int) -> Iterator[bytes]:
        """Yield so many bytes that come next, in pieces."""
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
            received = self._connection._sock.recv(most)  # noqa: SLF001 - what its own parsers read from, too
        except TimeoutError:
            raise redis.TimeoutError("Timeout reading from socket") from None
        except OSError as error:
            raise redis.ConnectionError(str(error)) from error
        if not received:
            raise redis.ConnectionError("Connection closed by server.")
        return bytes(received)


def packed(*words: bytes | str | int) -> bytes:
    """Return a command as Redis reads it."""
    import hiredis

    return bytes(hiredis.pack_command(words))  # type: ignore[arg-type] # its stub knows tuples of one word only


def _refuse(replies: list[object]) -> None:
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
