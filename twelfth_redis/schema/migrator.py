"""The migrations of a release and the data that they are about: bring it to a revision, or say what that would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twelfth_redis.errors import RefusedError
from twelfth_redis.lock import hold_lock
from twelfth_redis.schema import history, plan, runner
from twelfth_redis.schema.compatibility import pending, problems
from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.revisions import now
from twelfth_redis.schema.status import State, states

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis

    from twelfth_redis.lock import Owner
    from twelfth_redis.schema.migration import Migration
    from twelfth_redis.schema.pace import Pace
    from twelfth_redis.schema.plan import Move


@dataclass(frozen=True)
class Status:
    """How the data stands: its revision, each revision's state, what forbids to migrate, and what to do next."""

    revision: str
    migrations: tuple[State, ...]
    problems: tuple[str, ...]
    hint: str = ""


@dataclass(frozen=True)
class Migrator:
    """What migrates: `write` gets a line as soon as something is done. Every method raises RefusedError and RedisError.

    `allow_newer` accepts data that newer releases only added to; `take_over` finishes what another release left.
    """

    client: redis.Redis
    migrations: Sequence[Migration]
    owner: Owner
    write: Callable[[str], None]
    allow_newer: bool = False
    take_over: bool = False

    def status(self) -> Status:
        """Return how the data stands; changes nothing, and needs no lock."""
        past = history.read(self.client)
        wrong = problems(self.migrations, past, self.owner.release)
        return Status(past.revision, states(self.migrations, past), wrong, _unfinished_hint(past))

    def preview(self, to: str = "") -> None:
        """Write what would be done, and to how many keys as they are now; changes nothing, and needs no lock."""
        moves = plan.moves(self.migrations, self._history(to), to)
        for move in moves:
            count = runner.count_touched(self.client, move)
            self.write(f"would {move} ({count:,} {'key' if count == 1 else 'keys'})")
        if not moves:
            self.write("nothing is pending")

    def preview_baseline(self, baseline: str, to: str = "") -> None:
        """Write what `baseline` would record."""
        for move in self._unrecorded(self._history(to), baseline):
            self.write(f"would mark {move.migration.revision} as applied: {move.migration.title}")

    def migrate(self, pace: Pace, to: str = "", wait: float = 0.0) -> tuple[str, ...]:
        """Go up or down to a revision, the newest where none is named; return the revisions that are pending then."""
        with hold_lock(self.client, self.owner, wait=wait) as lock:
            past = self._history(to)
            moves = plan.moves(self.migrations, past, to)
            for move in moves:
                keys = runner.apply(lock, move, self._record(move), pace, now)
                self.write(_done(move, keys))
            if not moves:
                self.write(f"nothing to do: the data is at revision {past.revision or '0000'}")
            return pending(self._revisions(), history.read(self.client).applied)

    def baseline(self, baseline: str, to: str = "", wait: float = 0.0) -> None:
        """Record the revisions up to one as applied, without doing anything to the data."""
        with hold_lock(self.client, self.owner, wait=wait) as lock:
            past = self._history(to)
            if past.unfinished:
                raise RefusedError(f"{past.unfinished.revision} was left unfinished; finish it first: invoke migrate")
            moves = self._unrecorded(past, baseline)
            with lock.transaction() as pipe:
                pipe.multi()
                for move in moves:
                    history.write(pipe, replace(self._record(move), applied=now(), baseline=True))
        for move in moves:
            self.write(f"marked {move.migration.revision} as applied: {move.migration.title}")
        if not moves:
            self.write(f"nothing to mark: the data is at revision {past.revision or '0000'}")

    def _history(self, to: str) -> History:
        """Return what was done to the data; raises RefusedError where this release must not go on from there."""
        past = history.read(self.client)
        release = "" if self.take_over else self.owner.release
        target = plan.find_revision(self.migrations, to) if to else ""
        if wrong := problems(self.migrations, past, release, allow_newer=self.allow_newer, to=target):
            raise RefusedError(wrong[0])
        return past

    def _revisions(self) -> list[str]:
        return [migration.revision for migration in self.migrations]

    def _unrecorded(self, past: History, to: str) -> list[Move]:
        return [move for move in plan.moves(self.migrations, past, to) if not move.revert]

    def _record(self, move: Move) -> Applied:
        migration = move.migration
        return Applied(
            revision=migration.revision,
            title=migration.title,
            checksum=migration.checksum,
            release=self.owner.release,
            run=self.owner.run,
            operator=self.owner.operator,
            contract=migration.contract,
            down=move.revert,
        )


def _done(move: Move, keys: int) -> str:
    verb = "took back" if move.revert else "applied"
    over = f" ({keys:,} keys)" if keys else ""
    return f"{verb} {move.migration.revision}: {move.migration.title}{over}"


def _unfinished_hint(past: History) -> str:
    """Return what to do about a migration that this release left unfinished, "" where there is none."""
    left = past.unfinished
    if left is None:
        return ""
    return f"{left.revision} is unfinished{left.why and f' ({left.why})'}; to go on with it: invoke migrate"
