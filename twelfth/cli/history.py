"""The command history: the ledger of runs and of changes to the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twelfth.cli.command import command, number
from twelfth.cli.notifying import notifying
from twelfth.cli.outputs import terminal_width
from twelfth.cli.target import Target
from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke.context import Context

    from twelfth.model.record import Record
    from twelfth.runs.history import Query

SHOWN = 20
"""Records that are shown by default."""

DAYS = 14
"""Days that a page shows by default."""

LARGEST = 3_000
"""Records of a page at most."""


@command(
    positional=["run"],
    help={
        "run": "Show all of one record: its id, or the beginning of it",
        "last": f"Show the last N records (default: {SHOWN}, with --since all)",
        "since": "Show only records since a time, or since 10m, 2h or 1d ago",
        "failed": "Show only runs and changes that failed, or whose outcome is unknown",
        "html": f"Write a page for a browser to FILE, or to - for standard output (default: the last {DAYS} days)",
    },
    placeholders={"last": "N", "since": "TIME", "html": "FILE"},
)
def history(
    c: Context,
    run: str | None = None,
    last: str = "",
    since: str = "",
    failed: bool = False,
    json: bool = False,
    html: str = "",
) -> None:
    """Show the record of runs and of changes, the oldest first."""
    from datetime import UTC, datetime

    from twelfth.cli import views
    from twelfth.runs.history import find_record, history

    if html:
        if run or json:
            raise MisuseError("--html cannot be combined with RUN or --json. Try: invoke history --html FILE")
        if c.config.run.dry:
            print(f"Write {html}")
        else:
            _write_page(Target(c), html, last, since, failed=failed)
        return
    query, now = _query(last, since, failed=failed), datetime.now(UTC)
    engine = Target(c).engine()
    with notifying(engine):
        if run:
            record = find_record(engine, run)
            print(views.record_json(record) if json else views.record(record, now))
        else:
            records = history(engine, query)
            print(views.json_array(records) if json else views.history(records, now, terminal_width()))


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


def _write_page(target: Target, file: str, last: str, since: str, *, failed: bool) -> None:
    from dataclasses import replace
    from datetime import UTC, datetime
    from pathlib import Path

    from twelfth.cli import atomic_file
    from twelfth.cli.page.document import MARK, Page, document
    from twelfth.runs import descriptors
    from twelfth.runs.history import history
    from twelfth.runs.last_output import last_outputs

    path = None if file == "-" else atomic_file.replaceable_path(Path(file), MARK.encode())
    query, now = _query(last, since if since or last else f"{DAYS}d", failed=failed), datetime.now(UTC)
    query = replace(query, last=min(query.last or LARGEST, LARGEST))
    engine = target.engine()
    with notifying(engine):
        records = history(engine, query)
        outputs = last_outputs(engine, records)
    page = Page(engine.stack.project, engine.name, records, outputs, now, _scope(query, records))
    content = document(page).encode()
    if path is None:
        descriptors.write(1, content)
    else:
        with atomic_file.written(path, replaces=True) as (number, _):
            descriptors.write(number, content)


def _scope(query: Query, records: Sequence[Record]) -> str:
    """Return which records these are, in words."""
    is_cut = len(records) == query.last
    since = "" if is_cut or query.since is None else f"since {query.since.astimezone():%-d %B %Y}"
    return ", ".join(
        filter(None, (f"the last {query.last:,}" if is_cut else since, "only failures" if query.failed else ""))
    )
