"""Find when a hash may vanish because its fields expire (HEXPIRE): the server deletes a hash without fields.

A payload of DUMP starts with the type of the value. Hashes with expiring fields have separate types:

- Redis 7.4 and later put the earliest expiry first (https://github.com/redis/redis/blob/8.0/src/rdb.h);
- Valkey 9 puts an expiry after each field (https://github.com/valkey-io/valkey/blob/9.0/src/rdb.h).
"""

OLD_TYPES = 22
"""Types below this one have no expiring fields."""
VALKEY_HASH = 22
REDIS_HASHES = frozenset({24, 25})
UNKNOWN = 1
"""A time in the past, for unknown types: such a key may vanish at any moment."""
TIME = 8
"""Size in bytes of a time (ms since 1970)."""
BEGINNING = 1 + TIME
"""Bytes of a payload that `vanishes` requires."""


def vanishes(payload: bytes, *, is_complete: bool = True) -> int:
    """Return the time (ms since 1970) from which a key may be missing because its fields expire; 0 for never.

    `payload` is the reply of DUMP, or its start.
    """
    if payload[0] < OLD_TYPES:
        return 0
    if payload[0] in REDIS_HASHES:
        return int.from_bytes(payload[1 : 1 + TIME], "little")
    if payload[0] == VALKEY_HASH and is_complete:
        try:
            return _latest(payload)
        except (IndexError, ValueError):
            return UNKNOWN
    return UNKNOWN


def _latest(payload: bytes) -> int:
    # The hash exists as long as its last field; a field without an expiry never vanishes.
    (count, at), latest = _length(payload, 1), 0
    for _ in range(count):
        at = _after_string(payload, _after_string(payload, at))
        expires = int.from_bytes(payload[at : at + TIME], "little", signed=True)
        if expires < 0:
            return 0
        latest, at = max(latest, expires), at + TIME
    return latest


def _after_string(payload: bytes, at: int) -> int:
    if payload[at] >> 6 < 3:  # noqa: PLR2004 - two bits
        length, at = _length(payload, at)
        return at + length
    kind, at = payload[at] & 0x3F, at + 1
    if kind < 3:  # noqa: PLR2004 - an integer of 1, 2 or 4 bytes
        return at + (1 << kind)
    compressed, at = _length(payload, at)
    _, at = _length(payload, at)
    return at + compressed


def _length(payload: bytes, at: int) -> tuple[int, int]:
    """Return a length and the position after it; https://rdb.fnordig.de/file_format.html#length-encoding."""
    first = payload[at]
    if first >> 6 == 0:
        return first, at + 1
    if first >> 6 == 1:
        return (first & 0x3F) << 8 | payload[at + 1], at + 2
    size = {0x80: 4, 0x81: 8}.get(first)
    if size is None:
        raise ValueError
    return int.from_bytes(payload[at + 1 : at + 1 + size], "big"), at + 1 + size
