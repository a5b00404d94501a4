"""A backup is read in one pass, in memory that does not grow with it, and in one shape only.

Every byte is accounted for: a command of any other shape is no backup's, so nothing can be smuggled in.
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
"""How many keys a batch has at most; in bytes it has some unpacked blocks at most."""
LARGE = 1 << 20
"""A payload of more bytes than that is not held: it comes in pieces."""

_ROOM = 64
"""More bytes than what stands before a key or a payload can have."""
_KEY = re.compile(re.escape(HEAD) + rb"\$(0|[1-9][0-9]{0,%d})\r\n" % (len(str(LONGEST)) - 1))
_PAYLOAD = re.compile(rb"\r\n\$([1-9][0-9]?)\r\n(0|[1-9][0-9]{0,18})\r\n\$([1-9][0-9]{0,9})\r\n")
_ECHO = re.compile(rb"\*2\r\n\$4\r\nECHO\r\n\$([1-9][0-9]{0,5})\r\n")


@dataclass(frozen=True)
class Batch:
    """Keys of a backup, the time from which each may be gone (digits, ms since 1970; 0: never), and their commands.

    A large value is a separate batch, whose command continues, for `more` bytes, in batches without a key.
    """

    keys: list[bytes]
    expiries: list[bytes]
    commands: bytes
    more: int = 0

    @property
    def count(self) -> int:
        """Return the number of commands that begin here."""
        return len(self.keys)

    @property
    def size(self) -> int:
        """Return how many bytes the commands have that begin here."""
        return len(self.commands) + self.more


class Reader:
    """One pass over the plain bytes of a backup."""

    trailer: Trailer
    """What the end says; there after the last batch, and then all of the file is right."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        """Take the blocks, and read the manifest; raises FormatError, as everything here does."""
        self._blocks = blocks
        self._held, self._at = b"", 0
        self._digest = hashlib.sha256()
        self._count = 0
        self.manifest: Manifest = read_manifest(self._echoed(f"it is no backup of twelfth; {_MAKE}"))

    def batches(self) -> Iterator[Batch]:
        """Yield the keys; that the file is whole and right is known only after the last."""
        while True:
            batch = first_commands(self._held, self._at)
            if not batch.count:
                batch = _large_command(self._held, self._at)
            if batch.count:
                _refuse_momentary(batch)
                self._count += batch.count
                self._at += len(batch.commands)
                yield batch
                yield from self._rest(batch.more)
            elif not self._fill(_wanted(self._held, self._at)):
                break
        self._end()

    def _rest(self, more: int) -> Iterator[Batch]:
        """Yield the rest of a command of which `more` bytes are to come."""
        while more:
            self._fill(len(TAIL))
            piece = self._held[self._at : self._at + more - len(TAIL)] or TAIL
            if not self._held.startswith(piece, self._at):
                raise FormatError(f"key {self._count:,} is damaged, or the end is missing; {_COPY}")
            self._at += len(piece)
            more -= len(piece)
            yield Batch([], [], piece, more)

    def _end(self) -> None:
        self._drop()
        sha256 = self._digest.hexdigest()
        trailer = read_trailer(self._echoed(f"key {self._count + 1:,} is damaged, or the end is missing; {_COPY}"))
        if trailer.count != self._count:
            raise FormatError(f"it has {self._count:,} keys, but had {trailer.count:,} when it was made; {_COPY}")
        if trailer.sha256 != sha256:
            raise FormatError(f"its checksum (SHA-256) is wrong; {_COPY}")
        if self._at < len(self._held) or any(self._blocks):  # reading on also has gzip check its own end
            raise FormatError(f"there is something behind its end; {_COPY}")
        self.trailer = trailer

    def _echoed(self, otherwise: str) -> bytes:
        """Return the text of the ECHO that comes now; raises FormatError that says `otherwise`."""
        self._fill(_ROOM)
        found = _ECHO.match(self._held, self._at)
        if not found:
            raise FormatError(otherwise)
        start, length = found.end() - self._at, int(found[1])
        self._fill(start + length + 2)
        begin = self._at + start
        text, self._at = self._held[begin : begin + length], begin + length + 2
        if self._held[begin + length : self._at] != b"\r\n":
            raise FormatError(otherwise)
        return text

    def _fill(self, wanted: int) -> bool:
        """Hold `wanted` bytes from here on if there are so many; return whether anything new came."""
        if len(self._held) - self._at >= wanted:
            return False
        self._drop()
        parts, length = [self._held], len(self._held)
        while length < wanted and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            length += len(block)
        self._held = b"".join(parts)
        return length > len(parts[0])

    def _drop(self) -> None:
        """Let go of what was read, and have it in the checksum."""
        self._digest.update(memoryview(self._held)[: self._at])
        self._held, self._at = self._held[self._at :], 0


_MAKE = "`invoke backup FILE` makes one"
_COPY = "use another copy of the file"


def first_commands(held: bytes, at: int = 0, most: int = MOST_KEYS) -> Batch:
    """Return the RESTORE commands from `at` on that are there as a whole; none where another command stands there."""
    keys: list[bytes] = []
    expiries: list[bytes] = []
    begin, tail = at, len(TAIL)
    for _ in range(most):  # this loop is what a restore takes its time for: two matches a key
        if not (before := _KEY.match(held, at)):
            break
        start = before.end()
        end = start + int(before[1])
        if not (between := _PAYLOAD.match(held, end)):
            break
        size, expires, length = between.groups()
        stop = between.end() + int(length)
        if int(size) != len(expires) or not held.startswith(TAIL, stop):
            break
        keys.append(held[start:end])
        begins = between.end()
        expiries.append(expires if begins == stop or held[begins] < OLD_TYPES else _gone(expires, held[begins:stop]))
        at = stop + tail
    return Batch(keys, expiries, held[begin:at])


def _large_command(held: bytes, at: int) -> Batch:
    """Return the beginning of the RESTORE command at `at`, with its key, if its payload is large."""
    if (before := _KEY.match(held, at)) and (between := _PAYLOAD.match(held, end := before.end() + int(before[1]))):
        size, expires, length = between.groups()
        if int(length) > LARGE and int(size) == len(expires):
            more, payload = int(length) + len(TAIL), held[between.end() : between.end() + BEGINNING]
            if len(payload) == BEGINNING:
                gone = _gone(expires, payload, whole=False)
                return Batch([held[before.end() : end]], [gone], held[at : between.end()], more)
    return Batch([], [], b"")


def _gone(expires: bytes, payload: bytes, *, whole: bool = True) -> bytes:
    """Return the time from which a key may be gone: it expires, or the last of its fields does."""
    times = [int(expires), vanishes(payload, whole=whole)]
    return b"%d" % min(filter(None, times), default=0)


def _wanted(held: bytes, at: int) -> int:
    """Return how many bytes from `at` on are needed to see what the command there is, as far as one can tell."""
    if not (before := _KEY.match(held, at)):
        return _ROOM
    end = before.end() + int(before[1])
    if not (between := _PAYLOAD.match(held, end)):
        return end - at + _ROOM
    return between.end() - at + min(int(between[3]), LARGE) + len(TAIL)


def _refuse_momentary(batch: Batch) -> None:
    """Raise FormatError where a key belongs to the moment: it would undo the lock, or the mark."""
    if not MOMENTARY.isdisjoint(batch.keys):
        raise FormatError(f"it holds a key that no backup has, such as {LOCK}; {_COPY}")


@dataclass(frozen=True)
class Verified:
    """A backup that is right."""

    manifest: Manifest
    trailer: Trailer

    def values(self) -> dict[str, object]:
        """Return all that it says, with JSON's types."""
        return asdict(self.manifest) | asdict(self.trailer)

    def lines(self) -> list[str]:
        """Return what matters for people, aligned."""
        manifest = self.manifest
        release = f"release {manifest.release}" if manifest.release else ""
        run = f"run {manifest.run}" if manifest.run else ""
        rows = {
            "made": ", ".join(filter(None, (manifest.time, release, run, manifest.operator))),
            "server": f"{manifest.server}, database {manifest.database}, payload version {manifest.payload}",
            "keys": f"{self.trailer.count:,}, {manifest.guarantee}",
            "migrations": ", ".join(manifest.revisions) or "none",
            "not in it": manifest.omission or "nothing else was there",
            "sha256": self.trailer.sha256,
        }
        return [f"{name:<11} {printable(value)}" for name, value in rows.items()]


def verify(stream: BinaryIO) -> Verified:
    """Return what a backup says of itself, after every byte of it was checked; raises FormatError.

    Each key's own checksum is left to Redis, which refuses one that is wrong before a restore swaps anything in.
    """
    reader = Reader(unpacked(stream))
    for _ in reader.batches():
        pass
    return Verified(reader.manifest, reader.trailer)
