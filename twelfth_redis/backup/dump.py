"""All keys of a database, as the commands that bring them back, put together by Redis itself.

A script (https://redis.io/docs/latest/develop/programmability/eval-intro/) is atomic, and saves a round trip a key. It
only reads and says so, hence runs on a replica and where memory is short. It is sent each time: Redis may forget it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twelfth_redis.backup.format import (
    EACH,
    FENCE,
    HEAD,
    HISTORY,
    LARGEST,
    LOCK,
    LONGEST,
    MARK,
    TAIL,
    WHOLE,
    beginning,
    shown,
)
from twelfth_redis.backup.raw_connection import RawConnection, packed
from twelfth_redis.backup.server_info import observe
from twelfth_redis.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import redis

WHOLE_KEYS, WHOLE_BYTES = 10_000, 32 << 20
"""What is taken at one point in time: as much as keeps other clients waiting for some 0.1 s."""
PAGE_KEYS, PAGE_BYTES = 1000, 1 << 20
"""What is taken at once of more than that: 2 to 5 ms."""
DUMPED = 2
"""How often a value is in Redis's memory on top while it is dumped: as a payload, and as a reply."""

_READS = r"""#!lua flags=no-writes
local HEAD, FOREVER, TAIL = '{head}', '\r\n$1\r\n0\r\n', '{tail}'
local call, format = redis.call, string.format
-- Where nothing of this database expires, nobody has to ask each key; that holds as long as this script runs.
local expires = string.match(call('INFO', 'keyspace'), 'db' .. ARGV[1] .. ':keys=%d+,expires=(%d+)') ~= '0'
local most = tonumber(ARGV[2])
local taken, keys, bytes, apart = {}, 0, 0, {}

local function expiry(key)
  local at = expires and call('PEXPIRETIME', key) or -1
  if at < 0 then return FOREVER end
  if at >= 2^53 then return nil end -- a number in Lua is not exact beyond
  local digits = format('%.0f', at)
  return '\r\n$' .. #digits .. '\r\n' .. digits .. '\r\n'
end

-- Lengths repeat themselves: each is put in words once.
local size = setmetatable({}, {__index = function(known, length)
  local words = '$' .. length .. '\r\n'
  known[length] = words
  return words
end})

-- What is large goes apart: in here it would be in memory five times. Each of its elements is asked for its size.
local function take(key)
  if key == '{lock}' or key == '{fence}' or key == '{mark}' then return end
  local usage = call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0
  local between = usage <= most and #key <= {longest} and expiry(key)
  if not between then
    apart[#apart + 1] = key
    return
  end
  local payload = call('DUMP', key)
  if payload then -- else it expired, or is gone
    keys = keys + 1
    bytes = bytes + #payload
    taken[keys] = HEAD .. size[#key] .. key .. between .. size[#payload] .. payload .. TAIL
  end
end
"""

_PAGE = r"""
local cursor, left, first = ARGV[3], {}, 5
local names = {}
if #ARGV >= first then
  for i = first, #ARGV do names[#names + 1] = ARGV[i] end
else
  local page = call('SCAN', cursor, 'COUNT', ARGV[4])
  cursor, names = page[1], page[2]
end
for _, key in ipairs(names) do
  if bytes < most then take(key) else left[#left + 1] = key end
end
return {cursor, keys, table.concat(taken), apart, left}
"""

_ALL = r"""
local cursor, seen, limit = '0', {}, tonumber(ARGV[3])
repeat
  local page = call('SCAN', cursor, 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    if not seen[key] then take(key) end
    seen[key] = true
    if bytes > most or keys > limit or #apart > 0 then return false end
  end
until cursor == '0'
local revisions = {}
if call('TYPE', '{history}').ok == 'hash' then revisions = call('HKEYS', '{history}') end
return {keys, table.concat(taken), revisions}
"""


@dataclass(frozen=True)
class Page:
    """The commands of some keys, or a piece of one, and how many end here."""

    count: int
    commands: bytes


@dataclass(frozen=True)
class Snapshot:
    """What stands at the head of a backup, known before its first key is written; and the keys, to be taken once."""

    guarantee: str
    revisions: tuple[str, ...]
    keys: int
    pages: Iterator[Page]


def snapshot(client: redis.Redis, database: int) -> Snapshot:
    """Return all keys at one point in time where they are few, else page by page, each key by itself."""
    expected = client.dbsize()
    few = expected <= WHOLE_KEYS and _run(client, _WHOLE, database, WHOLE_BYTES, WHOLE_KEYS)
    if few:
        keys, commands, revisions = few
        return Snapshot(WHOLE, _sorted(revisions), keys, iter([Page(keys, commands)] if keys else []))
    revisions = client.hkeys(HISTORY) if client.type(HISTORY) == b"hash" else []
    return Snapshot(EACH, _sorted(revisions), expected, _pages(client, database))


def _pages(client: redis.Redis, database: int) -> Iterator[Page]:
    """Yield page after page; a key may come twice where the table of keys is being resized (SCAN's guarantees)."""
    cursor: bytes = b"0"
    left: list[bytes] = []
    while True:
        cursor, count, commands, apart, left = _run(client, _PAGES, database, PAGE_BYTES, cursor, PAGE_KEYS, *left)
        if count:
            yield Page(count, commands)
        yield from _large(client, apart)
        if cursor == b"0" and not left:
            return


def _large(client: redis.Redis, keys: list[bytes]) -> Iterator[Page]:
    """Yield keys that are large, as far as they are still there, each in pieces."""
    if not keys:
        return
    with contextlib.closing(RawConnection(client)) as raw:
        for key in keys:
            _refuse_too_large(client, key)
            yield from _pieces(raw, key)


def _refuse_too_large(client: redis.Redis, key: bytes) -> None:
    """Raise RefusedError for a key that no backup can hold, or whose DUMP would take memory that others need."""
    if len(key) > LONGEST:
        raise RefusedError(f"the key {shown(key)} has a name of {len(key):,} bytes, a backup holds {LONGEST:,}; {_FIX}")
    usage = client.memory_usage(key, samples=0) or 0
    if usage > WHOLE_BYTES and (server := observe(client)).lacks_room(DUMPED * usage):
        raise RefusedError(
            f"the value of {shown(key)} takes {usage:,} bytes, and to DUMP it Redis takes {DUMPED} times that on top: "
            f"{server.memory:,} of {server.limit:,} are in use; raise maxmemory, or {_FIX}"
        )


def _pieces(raw: RawConnection, key: bytes) -> Iterator[Page]:
    """Yield the command of one key, read as it comes; raises RefusedError where no Redis would take it."""
    raw.send(packed("MULTI"), packed("PEXPIRETIME", key), packed("DUMP", key), packed("EXEC"))
    *_, expires, size = [raw.line() for _ in range(6)]  # OK, QUEUED twice, an array, and what is in it
    if size in {b"$-1", b"_"}:
        return
    if (length := int(size[1:])) > LARGEST:
        most = f"Redis takes back {LARGEST:,} at most (proto-max-bulk-len)"
        raise RefusedError(f"the value of {shown(key)} has {length:,} bytes as DUMP gives it, {most}; {_FIX}")
    yield Page(0, beginning(key, max(int(expires[1:]), 0), length))
    for piece in raw.pieces(length):
        yield Page(0, piece)
    raw.line()
    yield Page(1, TAIL)


_FIX = "split or delete it, then repeat the backup"


def _run(client: redis.Redis, script: str, *arguments: bytes | int) -> Any:  # noqa: ANN401 - what the script returns
    return client.execute_command("EVAL", script, 0, *arguments)  # type: ignore[no-untyped-call]


def _sorted(revisions: Iterable[bytes | str]) -> tuple[str, ...]:
    return tuple(
        sorted(name if isinstance(name, str) else name.decode(errors="backslashreplace") for name in revisions)
    )


def _script(text: str) -> str:
    """Return the script with the names and the shape of the format in it."""
    words = {"{lock}": LOCK, "{fence}": FENCE, "{mark}": MARK, "{history}": HISTORY, "{head}": HEAD, "{tail}": TAIL}
    words["{longest}"] = b"%d" % LONGEST
    for name, word in words.items():
        text = text.replace(name, word.decode().replace("\r\n", r"\r\n"))
    return text


_PAGES, _WHOLE = _script(_READS + _PAGE), _script(_READS + _ALL)
