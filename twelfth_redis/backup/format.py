"""A backup, as values: what stands at its head and at its end, and the one shape that a key has in between.

The file is a gzip of Redis protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/): `ECHO` manifest,
one `RESTORE key ttl payload REPLACE ABSTTL` a key, `ECHO` trailer. So `zcat FILE | redis-cli --pipe` loads it too.
Nothing here needs Redis.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from twelfth_redis.backup.omitted import Omitted, read_omitted
from twelfth_redis.errors import FormatError

FORMAT = 2
OLD_FORMAT = 1
"""It does not record what is omitted."""
WHOLE = "one point in time"
EACH = "each key by itself"

LONGEST = 999_999
"""How many bytes the name of a key may have: names are held in memory, many at once."""
LARGEST = 512 << 20
"""What Redis takes at most as one argument, unless configured otherwise (proto-max-bulk-len), hence as one payload."""

HIGHEST_PAYLOAD = 0xFFFF
"""The highest version that a payload can have: it is written in two bytes."""

SHOWN = 60
"""How many bytes of a key's name a message shows: about a line."""

HEAD, TAIL = b"*6\r\n$7\r\nRESTORE\r\n", b"\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n"


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself; `keys` and `memory` (bytes) are what Redis expected when it began.

    `payload` is the version of what DUMP gives, which a server that is older refuses; 0 where there was no key.
    """

    time: str
    server: str
    payload: int
    database: int
    guarantee: str
    revisions: tuple[str, ...]
    keys: int
    memory: int
    release: str = ""
    run: str = ""
    operator: str = ""
    omitted: Omitted | None = None
    """What the backup omits; None in a file of the old format, which does not record it."""

    @property
    def omission(self) -> str:
        """Return a description of what the backup omits, "" for nothing."""
        return "not recorded by the release that made it" if self.omitted is None else str(self.omitted)


@dataclass(frozen=True)
class Trailer:
    """What was written: the number of RESTORE commands, and the SHA-256 of every byte before this one command."""

    count: int
    sha256: str


def command(*words: bytes) -> bytes:
    """Return a command as Redis reads it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def beginning(key: bytes, expires: int, length: int) -> bytes:
    """Return the command that brings a key back, up to its payload of so many bytes; behind that comes TAIL.

    `expires` is in ms since 1970, 0 for never.
    """
    return HEAD + b"$%d\r\n%b\r\n$%d\r\n%d\r\n$%d\r\n" % (len(key), key, len(b"%d" % expires), expires, length)


def shown(key: bytes) -> str:
    """Return the name of a key for people: printable, and not too long."""
    name = repr(key[:SHOWN])[1:]
    return f"{name}…" if len(key) > SHOWN else name


def printable(text: str) -> str:
    """Return a text of a file whose maker nobody knows, as a terminal may get it."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def opening(manifest: Manifest) -> bytes:
    """Return the first command of the file."""
    fields = asdict(manifest)
    if manifest.omitted is None:
        del fields["omitted"]
    return _echo({"twelfth": "backup", "format": FORMAT if "omitted" in fields else OLD_FORMAT} | fields)


def closing(trailer: Trailer) -> bytes:
    """Return the last command of the file."""
    return _echo({"twelfth": "end"} | asdict(trailer))


def read_manifest(text: bytes) -> Manifest:
    """Return what the first ECHO says; raises FormatError."""
    fields = _object(text)
    if fields.pop("twelfth", None) != "backup":
        raise FormatError("it is Redis protocol, but no backup of twelfth; `invoke backup FILE` makes one")
    version = fields.pop("format", None)
    if type(version) is int and version not in {FORMAT, OLD_FORMAT}:
        raise FormatError(f"it has format {version!r:.20}, this release reads {FORMAT}: use the release that made it")
    try:
        omitted = read_omitted(fields["omitted"]) if "omitted" in fields else None
        manifest = Manifest(**fields | {"revisions": tuple(fields["revisions"]), "omitted": omitted})
    except (TypeError, KeyError, ValueError, AttributeError):
        raise FormatError("its manifest is damaged; use another copy of the file") from None
    if not _sound(manifest) or opening(manifest) != command(b"ECHO", text):
        raise FormatError("its manifest is damaged; use another copy of the file")
    return manifest


def read_trailer(text: bytes) -> Trailer:
    """Return what the last ECHO says; raises FormatError."""
    fields = _object(text)
    trailer = Trailer(fields.get("count", 0), fields.get("sha256", ""))
    sound = type(trailer.count) is int and isinstance(trailer.sha256, str)
    if not sound or closing(trailer) != command(b"ECHO", text):  # anything but the very bytes that would be written
        raise FormatError("its end is damaged; use another copy of the file")
    return trailer


def payload_version(payload: bytes) -> int:
    """Return the version of what DUMP gave: two bytes before the CRC-64, https://redis.io/docs/latest/commands/dump/."""
    return int.from_bytes(payload[-10:-8], "little")


def empty_payload(version: int) -> bytes:
    """Return a payload of that version without a value: whoever can read the version refuses it for that."""
    text = b"\xff" + version.to_bytes(2, "little")
    crc = 0
    for byte in text:  # CRC-64/Redis, bit by bit
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x95AC9329AC4BC9B5 * (crc & 1)
    return text + crc.to_bytes(8, "little")


def _echo(fields: dict[str, object]) -> bytes:
    return command(b"ECHO", json.dumps(fields, separators=(",", ":")).encode())


def _object(text: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _sound(manifest: Manifest) -> bool:
    """Return whether every field has its type: what follows adds and compares them."""
    read = {"revisions", "omitted"}
    values = [(field.type, getattr(manifest, field.name)) for field in fields(manifest) if field.name not in read]
    return (
        all(type(value) is kind and (kind is str or value >= 0) for kind, value in values)
        and all(isinstance(revision, str) for revision in manifest.revisions)
        and manifest.payload <= HIGHEST_PAYLOAD
        and manifest.guarantee in (WHOLE, EACH)
    )
