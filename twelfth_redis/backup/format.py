"""The format of a backup: manifest, one command per key, trailer; pure.

The file is a gzip of Redis protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/): `ECHO` manifest,
one `RESTORE key ttl payload REPLACE ABSTTL` per key, `ECHO` trailer. So `zcat FILE | redis-cli --pipe` loads it too.
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
"""The most bytes of a key's name: many names are in memory at once."""
LARGEST = 512 << 20
"""The most bytes of one argument of a command by default (proto-max-bulk-len), hence of one payload."""

HIGHEST_PAYLOAD = 0xFFFF
"""The highest version of a payload, which has two bytes for it."""

SHOWN = 60
"""The most bytes of a key's name in a message: about a line."""

HEAD, TAIL = b"*6\r\n$7\r\nRESTORE\r\n", b"\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n"


@dataclass(frozen=True)
class Manifest:
    """The description of a backup; `keys` and `memory` (bytes) are estimates from its start.

    `payload` is the version of DUMP's payloads, which older servers refuse; 0 if there was no key.
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
    """The number of RESTORE commands, and the SHA-256 of every byte before the trailer."""

    count: int
    sha256: str


def command(*words: bytes) -> bytes:
    """Return a command in Redis protocol."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def beginning(key: bytes, expires: int, length: int) -> bytes:
    """Return the start of the command that restores a key; its payload of `length` bytes and TAIL follow.

    `expires` is in ms since 1970, 0 for never.
    """
    return HEAD + b"$%d\r\n%b\r\n$%d\r\n%d\r\n$%d\r\n" % (len(key), key, len(b"%d" % expires), expires, length)


def shown(key: bytes) -> str:
    """Return the name of a key for messages: printable, and not too long."""
    name = repr(key[:SHOWN])[1:]
    return f"{name}…" if len(key) > SHOWN else name


def printable(text: str) -> str:
    """Escape a text from a file of unknown origin, so that it is safe to print on a terminal."""
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
    """Read the text of the first ECHO; raises FormatError."""
    fields = _object(text)
    if fields.pop("twelfth", None) != "backup":
        raise FormatError("it is Redis protocol, but not a backup of twelfth. Try: invoke backup FILE")
    version = fields.pop("format", None)
    if type(version) is int and version not in {FORMAT, OLD_FORMAT}:
        raise FormatError(
            f"its format is {version!r:.20}, and this release reads {FORMAT}. Try: use the release that wrote it"
        )
    try:
        omitted = read_omitted(fields["omitted"]) if "omitted" in fields else None
        manifest = Manifest(**fields | {"revisions": tuple(fields["revisions"]), "omitted": omitted})
    except (TypeError, KeyError, ValueError, AttributeError):
        raise FormatError("its manifest is damaged. Try: use another copy of the file") from None
    if not _sound(manifest) or opening(manifest) != command(b"ECHO", text):
        raise FormatError("its manifest is damaged. Try: use another copy of the file")
    return manifest


def read_trailer(text: bytes) -> Trailer:
    """Read the text of the last ECHO; raises FormatError."""
    fields = _object(text)
    trailer = Trailer(fields.get("count", 0), fields.get("sha256", ""))
    sound = type(trailer.count) is int and isinstance(trailer.sha256, str)
    if not sound or closing(trailer) != command(b"ECHO", text):  # only the bytes that `closing` would write are valid
        raise FormatError("its end is damaged. Try: use another copy of the file")
    return trailer


def payload_version(payload: bytes) -> int:
    """Return a payload's version: two bytes before the CRC-64, https://redis.io/docs/latest/commands/dump/."""
    return int.from_bytes(payload[-10:-8], "little")


def empty_payload(version: int) -> bytes:
    """Return a payload without a value: a server that supports its version refuses it, too, for the missing value."""
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
    # Every field must have its type: later code adds and compares them.
    read = {"revisions", "omitted"}
    values = [(field.type, getattr(manifest, field.name)) for field in fields(manifest) if field.name not in read]
    return (
        all(type(value) is kind and (kind is str or value >= 0) for kind, value in values)
        and all(isinstance(revision, str) for revision in manifest.revisions)
        and manifest.payload <= HIGHEST_PAYLOAD
        and manifest.guarantee in (WHOLE, EACH)
    )
