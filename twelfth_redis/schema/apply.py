"""Apply one migration: in one transaction together with its record, or in batches if it changes many keys.

Every write is a transaction that only the holder of the lock can make (twelfth_redis.lock).
"""

import contextlib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import cast

import redis
from redis.client import Pipeline

from twelfth_redis.connection import is_forbidden, reason
from twelfth_redis.errors import LockLostError, RefusedError, StoppedError
from twelfth_redis.lock import HeldLock, retry_on_conflict
from twelfth_redis.progress import BATCH, Progress
from twelfth_redis.refusal import correction, is_script, named, subject
from twelfth_redis.schema import atomic_script, history
from twelfth_redis.schema.atomic_script import Command
from twelfth_redis.schema.history import Applied
from twelfth_redis.schema.migration import BatchStep
from twelfth_redis.schema.plan import Move, abandon_command
from twelfth_redis.timestamp import now

PATIENCE = 1000
"""Number of attempts for a single key that clients keep changing."""

_RESERVED = b"twelfth:"
"""The prefix of the keys of the lock, the record and the restore; no migration gets them."""


def apply(lock: HeldLock, move: Move, record: Applied, progress: Progress) -> int:
    """Make one move and return the number of processed keys, 0 if it was made in one transaction.

    Raises redis.RedisError and RefusedError; finished batches stay, and repeating them is safe.
    """
    with _explained(lock.client, move, record.release):
        if batch_step := move.way.batch_step:
            return _in_batches(lock, move, batch_step, record, progress)
        _at_once(lock, move, record)
        return 0


@contextlib.contextmanager
def _explained(client: redis.Redis, move: Move, release: str) -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, LockLostError, StoppedError):
        raise
    except Exception as error:
        left = _left(client, move)
        if isinstance(error, RefusedError) and not left:
            raise
        why = _why(move, error)
        if isinstance(error, redis.WatchError):
            raise RefusedError(f"could not {move}: {why}. Try: repeat the command") from error
        raise RefusedError(f"could not {move} ({why}){_then(left, release, error)}") from error


def _then(left: Applied | None, release: str, error: Exception) -> str:
    if left:
        return f"{left.effect and f'; {left.effect}'}. Try: {abandon_command(left, release)}"
    if isinstance(error, redis.ResponseError) and is_forbidden(error):
        return f". Try: {correction(error, reason(error))}"
    return ". Try: fix it, then invoke up"


def _left(client: redis.Redis, move: Move) -> Applied | None:
    with contextlib.suppress(redis.RedisError, RefusedError):
        if (left := history.read_unfinished(client)) and left.revision == move.migration.revision:
            return left
    return move.left


def _why(move: Move, error: Exception) -> str:
    if isinstance(error, redis.WatchError):
        return "clients keep changing the keys that it reads"
    if isinstance(error, atomic_script.CommandError | RefusedError):
        return str(error)
    calls = [(PurePath(call.filename).name, call.lineno) for call in traceback.extract_tb(error.__traceback__)]
    lines = [call for call in calls if call[0].startswith(f"{move.migration.revision}_")]
    place = "".join(f", line {line} of {name}" for name, line in lines[-1:])
    if isinstance(error, redis.ResponseError) and (about := subject(error)):
        return f"Redis refused {about}: {reason(error)}{place}"
    return f"{type(error).__name__}: {error}{place}"


def _at_once(lock: HeldLock, move: Move, record: Applied) -> None:
    step, applied = move.way.step, replace(record, applied=now())

    def attempt() -> None:
        with lock.transaction(*move.way.reads) as pipe:
            commands = atomic_script.queued_commands(step, lock.client) if step else []
            pipe.multi()
            atomic_script.queue(pipe, applied, commands, move.left)
            (answer,) = pipe.execute()
        atomic_script.refuse_failed(answer, commands)

    retry_on_conflict(attempt)


def _in_batches(lock: HeldLock, move: Move, batch_step: BatchStep, record: Applied, progress: Progress) -> int:
    before = move.left or record
    started = replace(record, done=before.done, commands=before.commands, keys=before.keys)
    _record_unfinished(lock, started)
    done, progress = 0, replace(progress)  # its clock starts here
    try:
        for keys in batches(lock.client, move.way.match, progress.batch):
            for count in _do(lock, batch_step, keys):
                done += count
                progress.update(done)
    except (redis.ConnectionError, redis.TimeoutError, LockLostError, StoppedError):
        raise
    except Exception as error:
        with contextlib.suppress(redis.RedisError, RefusedError):  # it stays recorded as unfinished
            _record_failure(lock, move, replace(started, why=_why(move, error), keys=max(done, started.keys)), error)
        raise
    with lock.transaction() as pipe:
        pipe.multi()
        atomic_script.queue(pipe, replace(record, applied=now()))
    return done


def _record_unfinished(lock: HeldLock, record: Applied) -> None:
    with lock.transaction() as pipe:
        pipe.multi()
        history.start(pipe, record)


def _record_failure(lock: HeldLock, move: Move, record: Applied, error: Exception) -> None:
    if isinstance(error, BatchError):
        names = tuple(map(named, error.applied))
        record = replace(record, done=len(names), commands=names[: atomic_script.NAMED])
        nothing = not names and not error.by_script
    else:
        nothing = True
    if not nothing or record.keys or move.left:
        _record_unfinished(lock, record)
        return
    with lock.transaction() as pipe:
        pipe.multi()
        history.clear_unfinished(pipe)


def batches(client: redis.Redis, match: str, count: int) -> Iterator[list[bytes]]:
    """Yield the matching keys in batches of about `count`, each key at least once.

    Keys that are created or deleted meanwhile may be included. After a crash the scan starts again: a restarted
    server does not know the cursor.
    """
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, match=match, count=count)
        if batch := [key for key in keys if isinstance(key, bytes) and not key.startswith(_RESERVED)]:
            yield batch
        if cursor == 0:
            return


def _do(lock: HeldLock, batch_step: BatchStep, keys: list[bytes]) -> Iterator[int]:
    """Process a batch, and yield the number of keys each time some are done.

    If clients change one of its keys meanwhile, split the batch in halves and repeat them, down to single keys.
    """

    def attempt() -> None:
        with lock.transaction() as pipe:
            pipe.multi()
            batch_step(keys, cast("redis.Redis", Watching(lock.client, pipe, keys)), pipe)
            _execute(pipe)

    if len(keys) == 1:
        retry_on_conflict(attempt, PATIENCE)
        yield 1
        return
    try:
        attempt()
    except redis.WatchError:
        middle = len(keys) // 2
        yield from _do(lock, batch_step, keys[:middle])
        yield from _do(lock, batch_step, keys[middle:])
    else:
        yield len(keys)


class BatchError(atomic_script.CommandError):
    """Redis refused a command of a batch; `applied` are the other commands, which Redis executed.

    With `by_script` a refused command is a script, and its earlier changes stay.
    """

    def __init__(self, why: str, applied: Sequence[Command], *, by_script: bool) -> None:
        super().__init__(why)
        self.applied, self.by_script = applied, by_script


def _execute(pipe: Pipeline) -> None:
    """Execute a batch; raises BatchError for the first command that Redis refused."""
    commands = [arguments for arguments, _ in pipe.command_stack]
    done = [*zip(commands, pipe.execute(raise_on_error=False), strict=False)]
    refused = [item for item in done if isinstance(item[1], redis.ResponseError)]
    if refused:
        applied = [command for command, reply in done if not isinstance(reply, redis.ResponseError)]
        command, why = refused[0]
        by_script = any(is_script(command) for command, _ in refused)
        stays = "; the earlier changes of the script stay" if by_script else ""
        raise BatchError(f"Redis refused {named(command)}: {reason(why)}{stays}", applied, by_script=by_script)


class Watching:
    """A client that watches the keys of a batch before its first use: a batch step that reads nothing is faster."""

    def __init__(self, client: redis.Redis, pipe: Pipeline, keys: list[bytes]) -> None:
        self._client, self._pipe, self._keys, self._watches = client, pipe, keys, False

    def __getattr__(self, name: str) -> object:
        """Return the client's attribute."""
        if not self._watches:
            # MULTI is only sent with the commands, so the connection is not in a transaction yet.
            self._pipe.immediate_execute_command("WATCH", *self._keys)  # type: ignore[no-untyped-call]
            self._watches = True
        return getattr(self._client, name)


def count_touched(client: redis.Redis, move: Move) -> int:
    """Count the keys that a move would change now, without changing them; raises redis.RedisError and RefusedError."""
    if move.way.step is None:
        return sum(len(keys) for keys in batches(client, move.way.match, BATCH))
    with _explained(client, move, ""):
        return len({_key(words) for words in atomic_script.queued_commands(move.way.step, client)})


def _key(arguments: tuple[object, ...]) -> str:
    key = arguments[1] if len(arguments) > 1 else ""
    return key.decode(errors="backslashreplace") if isinstance(key, bytes) else str(key)
