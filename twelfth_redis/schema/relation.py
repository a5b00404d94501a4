"""Relate an applied revision to a release's migrations: the same one, an edited one, or another one; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.migration import Migration


class Kind(StrEnum):
    """How a record relates to a release: EDITED if only the text differs, DIFFERENT if the title does, too."""

    SAME = "same"
    EDITED = "edited"
    DIFFERENT = "different"
    RENUMBERED = "renumbered"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Relation:
    """How a record relates to a release: `known` is its migration with that number, `moved` the one with that text."""

    kind: Kind
    known: Migration | None = None
    moved: Migration | None = None


def relation(migrations: Sequence[Migration], history: History, done: Applied) -> Relation:
    """Return how a record relates to a release's migrations."""
    known = next((migration for migration in migrations if migration.revision == done.revision), None)
    if known and known.is_of(done.checksum):
        return Relation(Kind.SAME, known)
    if moved := next(
        (each for each in migrations if each.is_of(done.checksum) and not _is_applied(each, history)), None
    ):
        return Relation(Kind.RENUMBERED, known, moved)
    if known is None:
        return Relation(Kind.UNKNOWN)
    return Relation(Kind.DIFFERENT if done.title not in {"", known.title} else Kind.EDITED, known)


def _is_applied(migration: Migration, history: History) -> bool:
    """Return whether a migration was applied under its number, since two migrations may have the same text."""
    done = history.applied.get(migration.revision)
    return done is not None and migration.is_of(done.checksum)
