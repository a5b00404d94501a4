"""The record of what was applied to the data, in the data."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import redis
from redis.client import Pipeline

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
    """Why it is unfinished, where Redis refused one of its commands."""


@dataclass(frozen=True)
class History:
    """What was done to the data, by revision, and what was left unfinished."""

    applied: Mapping[str, Applied]
    unfinished: Applied | None = None

    @property
    def revision(self) -> str:
        """Return the highest revision that was applied, "" where there is none."""
        return max(self.applied, default="")


def read(client: redis.Redis) -> History:
    """Return what was done to the data; raises RefusedError where its record is garbled."""
    try:
        records = sorted(map(_record, client.hvals(HISTORY)), key=lambda record: record.revision)
        unfinished = client.get(UNFINISHED)
        applied = {record.revision: record for record in records}
        return History(applied, _record(unfinished) if unfinished is not None else None)
    except (redis.ResponseError, ValueError, TypeError, AttributeError) as error:
        raise RefusedError(f"the keys {HISTORY} and {UNFINISHED} hold no record of ours ({error}); fix them") from error


def _record(value: bytes | str) -> Applied:
    """Return a record; what a newer release may have added to it is left out."""
    known = {field.name for field in fields(Applied)}
    return Applied(**{name: content for name, content in json.loads(value).items() if name in known})


def start(pipeline: Pipeline, record: Applied) -> None:
    """Queue the record of a migration that will take many steps."""
    pipeline.set(UNFINISHED, json.dumps(asdict(record)))
