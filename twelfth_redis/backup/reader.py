"""Read a backup in one pass, in a limited amount of memory.

Only the exact form that a backup writes is accepted, to the last byte, so a file cannot contain other commands.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO

from twelfth_redis.backup.field_expiry import BEGINNING, OLD_TYPES, vanishes
from twelfth_redis.backup.format import HEAD, LONGEST, TAIL, Manifest, Trailer, printable, read_manifest, read_trailer
from twelfth_redis.backup.gzip_stream import unpacked
from twelfth_redis.errors import FormatError
from twelfth_redis.keys import LOCK, MOMENTARY

MOST_KEYS = 1000
"""The most keys of a batch; in bytes it has at most a few unpacked blocks."""
LARGE = 1 << 20
"""A payload of more bytes is read in pieces."""

_ROOM = 64
"""More bytes than the header of a key or a payload can have."""
_KEY = re.compile(re.escape(HEAD) + rb"\$(0|[1-9][0-9]{0,%d})\r\n" % (len(str(LONGEST)) - 1))
_PAYLOAD = re.compile(rb"\r\n\$([1-9][0-9]?)\r\n(0|[1-9][0-9]{0,18})\r\n\$([1-9][0-9]{0,9})\r\n")
_ECHO = re.compile(rb"\*2\r\n\$4\r\nECHO\r\n\$([1-9][0-9]{0,5})\r\n")


@dataclass(frozen=True)
class Batch:
    """Keys of a backup, the time from which each may be missing (digits, ms since 1970; 0: never), and their commands.

    A large value is a separate batch, whose command continues, for `more` bytes, in batches without a key.
    """

    keys: list[bytes]
    expiries: list[bytes]
    commands: bytes
    more: int = 0

    @property
    def count(self) -> int:
        """Return the number of commands that start in this batch."""
        return len(self.keys)

    @property
    def size(self) -> int:
        """Return the size in bytes of the commands that start in this batch."""
        return len(self.commands) + self.more


class Reader:
    """One pass over the plain bytes of a backup."""

    trailer: Trailer
    """The trailer; set after the last batch, if the whole file is valid."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        """Read the manifest; raises FormatError, as all methods do."""
        self._blocks = blocks
        self._buffer, self._at = b"", 0
        self._digest = hashlib.sha256()
        self._count = 0
        self.manifest: Manifest = read_manifest(self._echoed(f"it is not a backup of twelfth. Try: {_MAKE}"))

    def batches(self) -> Iterator[Batch]:
        """Yield the keys; the file is known to be valid only after the last batch."""
        while True:
            batch = first_commands(self._buffer, self._at)
            if not batch.count:
                batch = _large_command(self._buffer, self._at)
            if batch.count:
                _refuse_momentary(batch)
                self._count += batch.count
                self._at += len(batch.commands)
                yield batch
                yield from self._rest(batch.more)
            elif not self._fill(_required(self._buffer, self._at)):
                break
        self._end()

    def _rest(self, more: int) -> Iterator[Batch]:
        """Yield the rest of a command, `more` bytes."""
        while more:
            self._fill(len(TAIL))
            piece = self._buffer[self._at : self._at + more - len(TAIL)] or TAIL
            if not self._buffer.startswith(piece, self._at):
                raise FormatError(f"key {self._count:,} is damaged, or the end is missing. Try: {_COPY}")
            self._at += len(piece)
            more -= len(piece)
            yield Batch([], [], piece, more)

    def _end(self) -> None:
        self._drop()
        sha256 = self._digest.hexdigest()
        trailer = read_trailer(self._echoed(f"key {self._count + 1:,} is damaged, or the end is missing. Try: {_COPY}"))
        if trailer.count != self._count:
            raise FormatError(
                f"it has {self._count:,} keys, but had {trailer.count:,} when it was written. Try: {_COPY}"
            )
        if trailer.sha256 != sha256:
            raise FormatError(f"its checksum (SHA-256) is wrong. Try: {_COPY}")
        if self._at < len(self._buffer) or any(self._blocks):  # reading to the end also makes gzip check its checksum
            raise FormatError(f"it has data after its end. Try: {_COPY}")
        self.trailer = trailer

    def _echoed(self, failure: str) -> bytes:
        """Read the text of the next ECHO; raises FormatError with the message `failure`."""
        self._fill(_ROOM)
        match = _ECHO.match(self._buffer, self._at)
        if not match:
            raise FormatError(failure)
        start, length = match.end() - self._at, int(match[1])
        self._fill(start + length + 2)
        begin = self._at + start
        text, self._at = self._buffer[begin : begin + length], begin + length + 2
        if self._buffer[begin + length : self._at] != b"\r\n":
            raise FormatError(failure)
        return text

    def _fill(self, size: int) -> bool:
        """Read until `size` bytes are buffered or the file ends; return whether there is new data."""
        if len(self._buffer) - self._at >= size:
            return False
        self._drop()
        parts, length = [self._buffer], len(self._buffer)
        while length < size and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            length += len(block)
        self._buffer = b"".join(parts)
        return length > len(parts[0])

    def _drop(self) -> None:
        """Discard the bytes that were processed, and add them to the checksum."""
        self._digest.update(memoryview(self._buffer)[: self._at])
        self._buffer, self._at = self._buffer[self._at :], 0


_MAKE = "invoke backup FILE"
_COPY = "use another copy of the file"


def first_commands(buffer: bytes, at: int = 0, most: int = MOST_KEYS) -> Batch:
    """Return the complete RESTORE commands from `at` on; none if another command starts there."""
    keys: list[bytes] = []
    expiries: list[bytes] = []
    begin, tail = at, len(TAIL)
    for _ in range(most):  # this loop takes most of the time of a restore: two matches per key
        if not (before := _KEY.match(buffer, at)):
            break
        start = before.end()
        end = start + int(before[1])
        if not (between := _PAYLOAD.match(buffer, end)):
            break
        size, expires, length = between.groups()
        stop = between.end() + int(length)
        if int(size) != len(expires) or not buffer.startswith(TAIL, stop):
            break
        keys.append(buffer[start:end])
        begins = between.end()
        expiries.append(
            expires if begins == stop or buffer[begins] < OLD_TYPES else _gone(expires, buffer[begins:stop])
        )
        at = stop + tail
    return Batch(keys, expiries, buffer[begin:at])


def _large_command(buffer: bytes, at: int) -> Batch:
    """Return the start of the RESTORE command at `at`, with its key, if its payload is large."""
    if (before := _KEY.match(buffer, at)) and (between := _PAYLOAD.match(buffer, end := before.end() + int(before[1]))):
        size, expires, length = between.groups()
        if int(length) > LARGE and int(size) == len(expires):
            more, payload = int(length) + len(TAIL), buffer[between.end() : between.end() + BEGINNING]
            if len(payload) == BEGINNING:
                gone = _gone(expires, payload, is_complete=False)
                return Batch([buffer[before.end() : end]], [gone], buffer[at : between.end()], more)
    return Batch([], [], b"")


def _gone(expires: bytes, payload: bytes, *, is_complete: bool = True) -> bytes:
    """Return the time from which a key may be missing: it expires, or the last of its fields does."""
    times = [int(expires), vanishes(payload, is_complete=is_complete)]
    return b"%d" % min(filter(None, times), default=0)


def _required(buffer: bytes, at: int) -> int:
    """Return the number of bytes from `at` on that are needed to read the next command, or more of its header."""
    if not (before := _KEY.match(buffer, at)):
        return _ROOM
    end = before.end() + int(before[1])
    if not (between := _PAYLOAD.match(buffer, end)):
        return end - at + _ROOM
    return between.end() - at + min(int(between[3]), LARGE) + len(TAIL)


def _refuse_momentary(batch: Batch) -> None:
    # Such a key would replace the lock, or the mark of the staging database.
    if not MOMENTARY.isdisjoint(batch.keys):
        raise FormatError(f"it contains a key that no backup has, such as {LOCK}. Try: {_COPY}")


@dataclass(frozen=True)
class Verified:
    """A valid backup."""

    manifest: Manifest
    trailer: Trailer

    def values(self) -> dict[str, object]:
        """Return manifest and trailer as values of JSON."""
        return asdict(self.manifest) | asdict(self.trailer)

    def lines(self) -> list[str]:
        """Return the essentials as aligned lines."""
        manifest = self.manifest
        release = f"release {manifest.release}" if manifest.release else ""
        run = f"run {manifest.run}" if manifest.run else ""
        rows = {
            "made": ", ".join(filter(None, (manifest.time, release, run, manifest.operator))),
            "server": f"{manifest.server}, database {manifest.database}, payload version {manifest.payload}",
            "keys": f"{self.trailer.count:,}, {manifest.guarantee}",
            "migrations": ", ".join(manifest.revisions) or "none",
            "not in it": manifest.omission or "nothing else existed",
            "sha256": self.trailer.sha256,
        }
        return [f"{name:<11} {printable(value)}" for name, value in rows.items()]


def verify(stream: BinaryIO) -> Verified:
    """Check every byte of a backup and return its description; raises FormatError.

    The checksum of each payload is left to Redis, which refuses a wrong one before a restore swaps the data in.
    """
    reader = Reader(unpacked(stream))
    for _ in reader.batches():
        pass
    return Verified(reader.manifest, reader.trailer)
