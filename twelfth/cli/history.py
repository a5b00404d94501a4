"""The command history: the ledger of runs and of changes to the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.cli.command import command, number
from twelfth.cli.target import Target

if TYPE_CHECKING:
    from invoke.context import Context

    from twelfth.runs.history import Query

SHOWN = 20
"""Records that are shown by default."""


@command(
    positional=["run"],
    help={
        "run": "Show all of one record: its id, or the beginning of it",
        "last": f"Show the last N records (default: {SHOWN}, with --since all)",
        "since": "Show only records since a time, or since 10m, 2h or 1d ago",
        "failed": "Show only runs and changes that failed, or whose outcome is unknown",
    },
    placeholders={"last": "N", "since": "TIME"},
)
def history(
    c: Context, run: str | None = None, last: str = "", since: str = "", failed: bool = False, json: bool = False
) -> None:
    """Show the record of runs and of changes to the stack, the oldest first."""
    from datetime import UTC, datetime

    from twelfth.cli import views
    from twelfth.runs.history import find_record, history

    query, now = _query(last, since, failed=failed), datetime.now(UTC)
    engine = Target(c).engine()
    if run:
        record = find_record(engine, run)
        print(views.record_json(record) if json else views.record(record, now))
    else:
        records = history(engine, query)
        print(views.json_array(records) if json else views.history(records, now))


def _query(last: str, since: str, *, failed: bool) -> Query:
    from datetime import UTC, datetime

    from twelfth.runs.history import Query
    from twelfth.stack.logs import moment

    default = None if since else SHOWN
    return Query(
        number(last, "--last", least=1) if last else default,
        moment(since, datetime.now(UTC)) if since else None,
        failed,
    )
