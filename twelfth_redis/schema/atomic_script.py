"""Commands that are done as one, with a record that is written only if Redis refused none of them.

Redis rolls nothing back: in a transaction, one command that is refused (a key of another type) does not keep the others
from being done, and the record would be among those. So it is a script that does them, within the transaction: it
stops at the first that is refused, and then says that the migration is unfinished instead of applied, unless that was
the first of all and nothing is done.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import NoReturn

import redis
from redis.client import Pipeline

from twelfth_redis.keys import HISTORY, UNFINISHED
from twelfth_redis.schema.history import Applied
from twelfth_redis.schema.migration import Step

LONGEST = 7000
"""Words of one command that a script can pass on: Lua's stack holds 8,000."""

_SCRIPT = """
local history, unfinished, revision, record, down = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local at = 4
while at <= #ARGV do
  local length = tonumber(ARGV[at])
  local answer = redis.pcall(unpack(ARGV, at + 1, at + length))
  if type(answer) == 'table' and answer.err then
    if at > 4 or redis.call('EXISTS', unfinished) == 1 then
      local left = cjson.decode(record)
      left.why = answer.err
      redis.call('SET', unfinished, cjson.encode(left))
    end
    return {answer.err, ARGV[at + 1], length > 1 and ARGV[at + 2] or ''}
  end
  at = at + length + 1
end
redis.call('DEL', unfinished)
if down == '1' then redis.call('HDEL', history, revision) else redis.call('HSET', history, revision, record) end
return {}
"""

Command = tuple[object, ...]


class CommandError(Exception):
    """A command cannot be done, or was refused; the message says which and why."""


class QueueOnlyPipeline(Pipeline):
    """A pipeline that keeps what is queued: whoever has it executes that together with a record."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction=True, shard_hint=None)

    def execute(self, raise_on_error: bool = True) -> NoReturn:  # noqa: ARG002, FBT001, FBT002 - redis-py's own signature
        """Raise CommandError."""
        raise CommandError("it calls execute(); what it queues is executed together with its record, without that")


def queued_commands(step: Step, client: redis.Redis) -> list[Command]:
    """Return the commands that a step queues, none of them sent; raises CommandError for what cannot be."""
    with QueueOnlyPipeline(client) as pipe:
        step(client, pipe)
        commands = [_words(arguments) for arguments, _ in pipe.command_stack]
    if too_long := [words for words in commands if len(words) > LONGEST]:
        raise CommandError(
            f"{too_long[0][0]} has more than {LONGEST:,} words; queue it in parts, or use MATCH and each"
        )
    return commands


def _words(arguments: Sequence[object]) -> Command:
    """Return a command word by word: redis-py keeps `OBJECT ENCODING` in one piece until it sends it."""
    return (*str(arguments[0]).split(), *arguments[1:])


def queue(pipe: Pipeline, record: Applied, commands: Sequence[Command] = ()) -> None:
    """Queue commands, if any, and the record of a migration that is finished with them, as one script."""
    flat = [word for words in commands for word in (len(words), *words)]
    head = (HISTORY, UNFINISHED, record.revision, json.dumps(asdict(record)), int(record.down))
    pipe.eval(_SCRIPT, 2, *head, *flat)  # type: ignore[arg-type] # its stub knows no numbers and bytes


def refuse_failed(answer: Sequence[bytes]) -> None:
    """Raise CommandError where the script met a command that Redis refused."""
    if answer:
        why, *words = (word.decode(errors="backslashreplace") for word in answer)
        raise CommandError(f"Redis refused {' '.join(words).strip()}: {why}")
