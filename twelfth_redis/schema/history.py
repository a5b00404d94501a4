"""Read and write the records of the applied migrations, which are stored with the data."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

import redis
from redis.client import Pipeline

from twelfth_redis.connection import code
from twelfth_redis.errors import RefusedError
from twelfth_redis.keys import HISTORY, UNFINISHED


@dataclass(frozen=True)
class Applied:
    """One revision of the data; `applied` is ISO 8601 in UTC, and `down` means that it is (being) reverted."""

    revision: str
    title: str = ""
    checksum: str = ""
    applied: str = ""
    release: str = ""
    run: str = ""
    operator: str = ""
    baseline: bool = False
    contract: bool = False
    down: bool = False
    why: str = ""
    """Why it failed, if it is unfinished."""
    done: int = 0
    """Number of applied commands of an unfinished migration; they stay."""
    commands: tuple[str, ...] = ()
    """The first of these commands: name and key."""
    keys: int = 0
    """Number of keys that an unfinished migration processed, in batches, before it failed."""

    @property
    def effect(self) -> str:
        """Return what an unfinished migration did to the data, "" if nothing is recorded."""
        return "; ".join(filter(None, (self._keys_done, self._commands_done)))

    @property
    def _keys_done(self) -> str:
        if not self.keys:
            return ""
        return f"{'1 key was' if self.keys == 1 else f'{self.keys:,} keys were'} processed and not restored"

    @property
    def _commands_done(self) -> str:
        if not self.done:
            return ""
        more = f" and {self.done - len(self.commands):,} more" if self.done > len(self.commands) else ""
        were = "command was" if self.done == 1 else "commands were"
        return f"{self.done:,} {were} applied and stay{'s' * (self.done == 1)}: {', '.join(self.commands)}{more}"


@dataclass(frozen=True)
class History:
    """The applied migrations by revision, and the unfinished one."""

    applied: Mapping[str, Applied]
    unfinished: Applied | None = None

    @property
    def revision(self) -> str:
        """Return the highest applied revision, "" if there is none."""
        return max(self.applied, default="")


def read(client: redis.Redis) -> History:
    """Return the history of the data; raises RefusedError if it is invalid, and redis.RedisError."""
    with _garbled():
        records = sorted(map(_record, client.hvals(HISTORY)), key=lambda record: record.revision)
        return History({record.revision: record for record in records}, read_unfinished(client))


def read_unfinished(client: redis.Redis) -> Applied | None:
    """Return the unfinished migration; raises RefusedError if its record is invalid, and redis.RedisError."""
    with _garbled():
        record = client.get(UNFINISHED)
        return _record(record) if record is not None else None


@contextlib.contextmanager
def _garbled() -> Iterator[None]:
    """Report an invalid record; of the server's errors, only WRONGTYPE says something about the record."""
    try:
        yield
    except (redis.ResponseError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, redis.ResponseError) and code(error) != "WRONGTYPE":
            raise
        why = f"the record of migrations in the keys {HISTORY} and {UNFINISHED} is invalid: {error}"
        raise RefusedError(f"{why}. Try: invoke console, to look at them") from error


def _record(value: bytes | str) -> Applied:
    """Read a record, without the fields that a newer release may have added."""
    known = {field.name for field in fields(Applied)}
    text = value.decode(errors="replace") if isinstance(value, bytes) else value  # `why` may name a binary key
    values = {name: content for name, content in json.loads(text).items() if name in known}
    return Applied(**values | {"commands": tuple(values.get("commands") or ())})


def dumps(record: Applied) -> str:
    """Return a record as JSON, as Redis stores it."""
    return json.dumps(asdict(record))


def start(pipeline: Pipeline, record: Applied) -> None:
    """Queue the record of an unfinished migration."""
    pipeline.set(UNFINISHED, dumps(record))


def clear_unfinished(pipeline: Pipeline) -> None:
    """Queue the removal of the record of an unfinished migration."""
    pipeline.delete(UNFINISHED)


def unfinished_revision(value: bytes | None) -> str:
    """Return the revision in a value of UNFINISHED, "" if there is none."""
    try:
        return str(json.loads((value or b"{}").decode(errors="replace")).get("revision", ""))
    except (ValueError, AttributeError):
        return ""
