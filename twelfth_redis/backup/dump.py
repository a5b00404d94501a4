"""Read all keys of a database as RESTORE commands, which a script in Redis assembles.

A script is atomic, and saves a round trip per key (https://redis.io/docs/latest/develop/programmability/eval-intro/).
It is flagged as read-only, so it also runs on a replica and if memory is short. It is sent each time: Redis may forget
it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from twelfth_redis.backup.format import EACH, HEAD, LARGEST, LONGEST, TAIL, WHOLE, beginning, payload_version, shown
from twelfth_redis.backup.raw_connection import RawConnection, packed
from twelfth_redis.backup.server_info import observe_if_allowed, user_of
from twelfth_redis.errors import RefusedError
from twelfth_redis.keys import FENCE, HISTORY, LOCK, MARK
from twelfth_redis.refusal import allowing, is_command_missing, is_key_refused, is_right_missing

WHOLE_KEYS, WHOLE_BYTES = 10_000, 32 << 20
"""The most that is read at one point in time; other clients wait for about 0.1 s."""
WHOLE_SCAN = 10 * WHOLE_KEYS
"""COUNT of SCAN for that: it returns all keys at once, even from a sparse table."""
PAGE_KEYS, PAGE_BYTES = 1000, 1 << 20
"""The size of a page of larger databases: 2 to 5 ms."""
DUMPED = 2
"""Number of additional copies of a value in Redis's memory during DUMP: the payload and the reply."""

_SCRIPT = r"""#!lua flags=no-writes
local HEAD, FOREVER, TAIL = '{head}', '\r\n$1\r\n0\r\n', '{tail}'
local format, refused = string.format, nil

-- A script's error names neither the command nor the key.
local function call(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) == 'table' and reply.err then
    refused = {-1, command, reply.err, ...}
    error(reply.err)
  end
  return reply
end

local function expiring()
  local keyspace = redis.pcall('INFO', 'keyspace') -- the user may lack the right to it
  return type(keyspace) ~= 'string' or string.match(keyspace, 'db' .. ARGV[1] .. ':keys=%d+,expires=(%d+)') ~= '0'
end

-- If no key of this database expires, the keys need not be asked; nothing changes while this script runs.
local expires = expiring()
local most = tonumber(ARGV[2])
local taken, keys, bytes, apart, seen = {}, 0, 0, {}, {}

local function expiry(key)
  local at = expires and call('PEXPIRETIME', key) or -1
  if at < 0 then return FOREVER end
  if at >= 2^53 then return nil end -- larger numbers are not exact in Lua
  local digits = format('%.0f', at)
  return '\r\n$' .. #digits .. '\r\n' .. digits .. '\r\n'
end

-- Lengths repeat: each is formatted once.
local size = setmetatable({}, {__index = function(known, length)
  local words = '$' .. length .. '\r\n'
  known[length] = words
  return words
end})

-- Large values are read separately: in here they would be in memory five times. MEMORY USAGE counts all elements.
local function take(key)
  if seen[key] or key == '{lock}' or key == '{fence}' or key == '{mark}' then return end
  seen[key] = true -- SCAN may return a key twice
  local usage = call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0
  local between = usage <= most and #key <= {longest} and expiry(key)
  if not between then
    apart[#apart + 1] = key
    return
  end
  local payload = call('DUMP', key)
  if payload then -- else it expired or was deleted
    keys = keys + 1
    bytes = bytes + #payload
    taken[keys] = HEAD .. size[#key] .. key .. between .. size[#payload] .. payload .. TAIL
  end
end

local function revisions()
  local names = redis.pcall('HKEYS', '{history}')
  if not names.err then return names end
  if string.match(names.err, '^WRONGTYPE') then return {} end
  return call('HKEYS', '{history}')
end

local function page()
  local cursor, names, left, first = ARGV[3], {}, {}, 5
  for i = first, #ARGV do names[#names + 1] = ARGV[i] end
  if #names == 0 then
    local page = call('SCAN', cursor, 'COUNT', ARGV[4])
    cursor, names = page[1], page[2]
  end
  for _, key in ipairs(names) do
    if bytes < most then take(key) else left[#left + 1] = key end
  end
  return {cursor, keys, table.concat(taken), apart, left, revisions()}
end

local succeeded, result = pcall(page)
if not succeeded and not refused then error(result) end
return refused or result
"""
_WORDS = {"lock": LOCK, "fence": FENCE, "mark": MARK, "history": HISTORY, "longest": str(LONGEST)}
for _name, _word in (_WORDS | {"head": HEAD.decode(), "tail": TAIL.decode()}).items():
    _SCRIPT = _SCRIPT.replace(f"{{{_name}}}", _word.replace("\r\n", r"\r\n"))


@dataclass(frozen=True)
class Page:
    """The commands of some keys, or a part of one command; `count` commands end in it."""

    count: int
    commands: bytes


@dataclass(frozen=True)
class Snapshot:
    """The facts for the manifest of a backup, and its keys, which can be read once.

    `payload` is the version of the values that were already read, 0 for none.
    """

    guarantee: str
    revisions: tuple[str, ...]
    keys: int
    payload: int
    pages: Iterator[Page]


def snapshot(client: redis.Redis, database: int) -> Snapshot:
    """Return all keys: of a small database at one point in time, else page by page, each key by itself."""
    expected = client.dbsize()
    few = expected <= WHOLE_KEYS
    first = _take(client, database, at_once=few)
    cursor, keys, commands, apart, left, names = first
    is_complete = few and cursor == b"0" and not apart and not left
    revisions = tuple(sorted(name.decode(errors="backslashreplace") for name in names))
    payload = payload_version(commands[: -len(TAIL)]) if keys else 0
    guarantee = WHOLE if is_complete else EACH
    return Snapshot(guarantee, revisions, keys if is_complete else expected, payload, _pages(client, database, first))


def _take(
    client: redis.Redis, database: int, cursor: bytes = b"0", names: Sequence[bytes] = (), *, at_once: bool = False
) -> Any:  # noqa: ANN401 - what the script returns
    """Read keys from a cursor on, or these; return the next cursor, their number, commands, large keys, unread keys."""
    most, count = (WHOLE_BYTES, WHOLE_SCAN) if at_once else (PAGE_BYTES, PAGE_KEYS)
    words = (database, most, cursor, count, *names)
    taken: Any = client.execute_command("EVAL", _SCRIPT, 0, *words)  # type: ignore[no-untyped-call]
    if taken[0] == -1:
        raise RefusedError(_refusal(user_of(client), *taken[1:]))
    return taken


def _refusal(user: str, command: bytes, why: bytes, *arguments: bytes | int) -> str:
    name, reads = command.decode(), {b"PEXPIRETIME", b"DUMP", b"MEMORY"}
    name += " USAGE" if command == b"MEMORY" else ""
    key = arguments[-3 if command == b"MEMORY" else 0] if command in reads else b""
    operand = f" of the key {shown(key)}" if isinstance(key, bytes) and key else ""
    reason = why.decode(errors="backslashreplace").rstrip(".")
    remedy = "remove its rename-command" if is_command_missing(reason) else "invoke logs redis"
    if is_right_missing(reason):
        remedy = allowing(user, keys="*") if is_key_refused(reason) else allowing(user, [name])
    return f"cannot back up all keys: Redis refuses {name}{operand}: {reason}. Try: {remedy}"


def _pages(client: redis.Redis, database: int, taken: Any) -> Iterator[Page]:  # noqa: ANN401
    """Yield the first page and all others; a key may come twice while Redis resizes the table of keys."""
    while True:
        cursor, count, commands, apart, left, _ = taken
        if count:
            yield Page(count, commands)
        yield from _large(client, apart)
        if cursor == b"0" and not left:
            return
        taken = _take(client, database, cursor, left)


def _large(client: redis.Redis, keys: list[bytes]) -> Iterator[Page]:
    # A key that was deleted meanwhile is skipped.
    if not keys:
        return
    with contextlib.closing(RawConnection(client)) as raw:
        for key in keys:
            _refuse_too_large(client, key)
            yield from _pieces(raw, key)


def _refuse_too_large(client: redis.Redis, key: bytes) -> None:
    if len(key) > LONGEST:
        raise RefusedError(
            f"the key {shown(key)} has a name of {len(key):,} bytes, more than the limit of {LONGEST:,}. Try: {_FIX}"
        )
    usage = client.memory_usage(key, samples=0) or 0
    if usage > WHOLE_BYTES and (server := observe_if_allowed(client)) and server.lacks_room(DUMPED * usage):
        raise RefusedError(
            f"the value of {shown(key)} takes {usage:,} bytes, and DUMP needs {DUMPED} times that in addition: "
            f"{server.memory:,} of {server.limit:,} are in use. Try: raise maxmemory, or {_FIX}"
        )


def _pieces(raw: RawConnection, key: bytes) -> Iterator[Page]:
    """Yield the command of one key while reading it; raises RefusedError if it is too large to restore."""
    raw.send(packed("MULTI"), packed("PEXPIRETIME", key), packed("DUMP", key), packed("EXEC"))
    *_, expires, size = [raw.line() for _ in range(6)]  # OK, QUEUED twice, an array and its items
    if size in {b"$-1", b"_"}:
        return
    if (length := int(size[1:])) > LARGEST:
        most = f"Redis restores {LARGEST:,} at most (proto-max-bulk-len)"
        raise RefusedError(f"the payload of {shown(key)} has {length:,} bytes, and {most}. Try: {_FIX}")
    yield Page(0, beginning(key, max(int(expires[1:]), 0), length))
    for piece in raw.pieces(length):
        yield Page(0, piece)
    raw.line()
    yield Page(1, TAIL)


_FIX = "split or delete it, then repeat the backup"
