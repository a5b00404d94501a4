"""Execute commands in one script, with a record that is written only if Redis refuses none of them.

Redis rolls nothing back: in a transaction, a refused command (a key of another type) does not stop the others, and the
record would be one of those. So a script executes the commands, inside the transaction. It stops at the first refused
one and records the migration as unfinished, with the applied commands; if none was applied, it records nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import redis
from redis.client import Pipeline

from twelfth_redis.keys import HISTORY, UNFINISHED
from twelfth_redis.refusal import named
from twelfth_redis.schema.history import Applied, dumps
from twelfth_redis.schema.migration import Step

LONGEST = 7000
"""Words of one command that a script can pass on: Lua's stack holds 8,000."""

NAMED = 20
"""Number of commands that the record of an unfinished migration names; the others are only counted."""

_SCRIPT = """
local history, unfinished, revision, record, down, left = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local at, done = 5, 0
while at <= #ARGV do
  local length = tonumber(ARGV[at])
  local answer = redis.pcall(unpack(ARGV, at + 1, at + length))
  if type(answer) == 'table' and answer.err then
    local key = length > 1 and ARGV[at + 2] or ''
    if done > 0 or redis.call('EXISTS', unfinished) == 1 then
      left = cjson.decode(left)
      left.why = 'Redis refused ' .. ARGV[at + 1] .. ' ' .. key .. ': ' .. answer.err
      left.commands = {unpack(left.commands, 1, math.min(#left.commands, left.done + done))}
      left.done = left.done + done
      redis.call('SET', unfinished, cjson.encode(left))
    end
    return {answer.err, tostring(done), ARGV[at + 1], key}
  end
  at, done = at + length + 1, done + 1
end
redis.call('DEL', unfinished)
if down == '1' then redis.call('HDEL', history, revision) else redis.call('HSET', history, revision, record) end
return {}
"""

Command = tuple[object, ...]


class CommandError(Exception):
    """A command is invalid, or Redis refused it; the message names it and says why."""


class QueueOnlyPipeline(Pipeline):
    """A pipeline that only queues commands: twelfth executes them together with a record."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction=True, shard_hint=None)

    def execute(self, raise_on_error: bool = True) -> NoReturn:  # noqa: ARG002, FBT001, FBT002 - redis-py's own signature
        """Raise CommandError."""
        raise CommandError(
            "it calls execute(). Try: remove that call; queued commands are executed together with the record"
        )


def queued_commands(step: Step, client: redis.Redis) -> list[Command]:
    """Return the commands that a step queues, without sending them; raises CommandError for an invalid one."""
    with QueueOnlyPipeline(client) as pipe:
        step(client, pipe)
        commands = [_words(arguments) for arguments, _ in pipe.command_stack]
    if too_long := [words for words in commands if len(words) > LONGEST]:
        raise CommandError(
            f"{too_long[0][0]} has more than {LONGEST:,} words. Try: queue it in parts, or use MATCH and each"
        )
    return commands


def _words(arguments: Sequence[object]) -> Command:
    """Split the command's name: redis-py keeps `OBJECT ENCODING` as one word until it sends it."""
    return (*str(arguments[0]).split(), *arguments[1:])


def queue(pipe: Pipeline, record: Applied, commands: Sequence[Command] = (), left: Applied | None = None) -> None:
    """Queue, as one script, commands and the record of the migration that they finish.

    `left` is the record of earlier attempts that left the same revision unfinished.
    """
    before = left or Applied(record.revision)
    names = (*before.commands, *map(named, commands))[:NAMED]
    unfinished = replace(record, applied="", done=before.done, commands=names, keys=before.keys)
    flat = [word for words in commands for word in (len(words), *words)]
    head = (HISTORY, UNFINISHED, record.revision, dumps(record), int(record.down), dumps(unfinished))
    pipe.eval(_SCRIPT, 2, *head, *flat)  # type: ignore[arg-type] # its stub knows no numbers and bytes


def refuse_failed(answer: Sequence[bytes], commands: Sequence[Command]) -> None:
    """Raise CommandError if Redis refused one of the script's commands."""
    if answer:
        why, done, *words = (word.decode(errors="backslashreplace") for word in answer)
        which = f", command {int(done) + 1} of {len(commands)}" if len(commands) > 1 else ""
        raise CommandError(f"Redis refused {' '.join(words).strip()}: {why}{which}")
