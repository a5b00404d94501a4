"""Relate an applied revision to a release's migrations: the same one, an edited one, or another one; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.migration import Migration


class Kind(StrEnum):
    """How a record relates to a release: EDITED if only the text differs, DIFFERENT if the title differs as well."""

    SAME = "same"
    EDITED = "edited"
    DIFFERENT = "different"
    RENUMBERED = "renumbered"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Relation:
    """A record's counterparts in a release: `known` has the same number, `moved` has the same text."""

    kind: Kind
    known: Migration | None = None
    moved: Migration | None = None


def relation(migrations: Sequence[Migration], history: History, done: Applied) -> Relation:
    """Relate a record to the migrations of a release."""
    known = next((migration for migration in migrations if migration.revision == done.revision), None)
    if known and known.is_of(done.checksum):
        return Relation(Kind.SAME, known)
    if moved := next(
        (item for item in migrations if item.is_of(done.checksum) and not _is_applied(item, history)), None
    ):
        return Relation(Kind.RENUMBERED, known, moved)
    if known is None:
        return Relation(Kind.UNKNOWN)
    return Relation(Kind.DIFFERENT if done.title not in {"", known.title} else Kind.EDITED, known)


def _is_applied(migration: Migration, history: History) -> bool:
    # Under its own number: two migrations may have the same text.
    done = history.applied.get(migration.revision)
    return done is not None and migration.is_of(done.checksum)
