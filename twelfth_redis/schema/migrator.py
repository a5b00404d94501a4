"""Bring data to a revision of a release's migrations, or show what that would do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import redis

from twelfth_redis.errors import RefusedError
from twelfth_redis.lock import Owner, hold_lock
from twelfth_redis.progress import Progress
from twelfth_redis.schema import atomic_script, history, plan, status
from twelfth_redis.schema.apply import apply, count_touched
from twelfth_redis.schema.history import Applied, History
from twelfth_redis.schema.migration import Migration
from twelfth_redis.schema.plan import Move
from twelfth_redis.schema.revisions import pending
from twelfth_redis.timestamp import now


@dataclass(frozen=True)
class Migrator:
    """Migrate data; `write` gets a line after each change, `warn` gets warnings for the operator.

    Every method raises RefusedError and RedisError. `allow_newer` accepts data to which newer releases only added, and
    their unfinished migration; `take_over` finishes another release's migration, and repeats one that failed halfway.
    """

    client: redis.Redis
    migrations: Sequence[Migration]
    owner: Owner
    write: Callable[[str], None]
    warn: Callable[[str], None]
    allow_newer: bool = False
    take_over: bool = False

    def status(self) -> status.Status:
        """Return the state of the data; changes nothing, and needs no lock."""
        return status.status(self.migrations, history.read(self.client), self.owner.release)

    def preview(self, to: str = "") -> None:
        """Write what `migrate` would do and the number of keys now; changes nothing, and needs no lock."""
        past = self._history(to)
        moves = plan.moves(self.migrations, past, to, self.owner.release)
        for move in moves:
            count = count_touched(self.client, move)
            self.write(f"would {move} ({count:,} {'key' if count == 1 else 'keys'})")
        if not moves:
            self.write("nothing is pending")
        self._warn(past)

    def preview_baseline(self, baseline: str, to: str = "") -> None:
        """Write what `baseline` would record."""
        past = self._history(to)
        moves = self._unrecorded(past, baseline)
        for move in moves:
            self.write(f"would mark {move.migration.revision} as applied: {move.migration.title}")
        if not moves:
            self.write(f"nothing to mark: the data is at revision {past.revision or '0000'}")

    def migrate(self, progress: Progress, to: str = "", wait: float = 0.0) -> tuple[str, ...]:
        """Go up or down to a revision, by default the newest; return the revisions that are pending afterwards."""
        with hold_lock(self.client, self.owner, wait=wait) as lock:
            past = self._history(to)
            moves = plan.moves(self.migrations, past, to, self.owner.release)
            for move in moves:
                keys = apply(lock, move, self._record(move), progress)
                verb, over = "reverted" if move.revert else "applied", f" ({keys:,} keys)" if keys else ""
                self.write(f"{verb} {move.migration.revision}: {move.migration.title}{over}")
            if not moves:
                self.write(f"nothing to do: the data is at revision {past.revision or '0000'}")
            self._warn(past)
            revisions = [migration.revision for migration in self.migrations]
            return pending(revisions, history.read(self.client).applied)

    def preview_abandon(self, revision: str) -> None:
        """Write what `abandon` would clear; changes nothing, and needs no lock."""
        left = plan.abandoned(self.migrations, history.read(self.client), revision)
        self.write(f"would abandon {self._abandoned(left)}")

    def abandon(self, revision: str, wait: float = 0.0) -> None:
        """Clear the record of an unfinished migration; its changes to the data stay."""
        with hold_lock(self.client, self.owner, wait=wait) as lock:
            left = plan.abandoned(self.migrations, history.read(self.client), revision)
            with lock.transaction() as pipe:
                pipe.multi()
                history.clear_unfinished(pipe)
        self.write(f"abandoned {self._abandoned(left)}")

    @staticmethod
    def _abandoned(left: Applied) -> str:
        effect = left.effect or "its changes to the data are not recorded, and stay"
        then = "; it stays recorded as applied" if left.down else ""
        return f"{left.revision} ({left.title}): {effect}{then}"

    def baseline(self, baseline: str, to: str = "", wait: float = 0.0) -> None:
        """Record the revisions up to `baseline` as applied, without changing other data."""
        with hold_lock(self.client, self.owner, wait=wait) as lock:
            past = self._history(to)
            moves = self._unrecorded(past, baseline)
            with lock.transaction() as pipe:
                pipe.multi()
                for move in moves:
                    atomic_script.queue(pipe, replace(self._record(move), applied=now(), baseline=True))
        for move in moves:
            self.write(f"marked {move.migration.revision} as applied: {move.migration.title}")
        if not moves:
            self.write(f"nothing to mark: the data is at revision {past.revision or '0000'}")

    def _history(self, to: str) -> History:
        past = history.read(self.client)
        release = None if self.take_over else self.owner.release
        target = plan.find_revision(self.migrations, to) if to else ""
        if problems := plan.problems(self.migrations, past, release, allow_newer=self.allow_newer, to=target):
            raise RefusedError(problems[0])
        return past

    def _warn(self, past: History) -> None:
        if text := plan.warning(self.migrations, past, self.owner.release):
            self.warn(text)

    def _unrecorded(self, past: History, to: str) -> list[Move]:
        if past.unfinished:
            abandon = plan.abandon_command(past.unfinished, self.owner.release)
            raise RefusedError(f"{past.unfinished.revision} was left unfinished. Try: invoke migrate, or {abandon}")
        last = plan.find_revision(self.migrations, to)
        return [Move(item) for item in self.migrations if item.revision <= last and item.revision not in past.applied]

    def _record(self, move: Move) -> Applied:
        migration, owner = move.migration, self.owner
        return Applied(
            migration.revision,
            migration.title,
            migration.checksum,
            release=owner.release,
            run=owner.run,
            operator=owner.operator,
            contract=migration.contract,
            down=move.revert,
        )
