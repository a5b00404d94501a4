"""The list of a page: the records of each day, the newest first, each with its details and last output."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from twelfth.cli import views
from twelfth.cli.page import text
from twelfth.cli.page.kinds import lane, outcome
from twelfth.cli.page.text import escaped
from twelfth.model.run import SCHEDULE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from twelfth.model.record import Record


def days(records: Sequence[Record], outputs: Mapping[str, bytes], local: Callable[[datetime], datetime]) -> str:
    """Return the records as HTML, those of one day under its date; `outputs` has the last output of runs by id."""
    newest_first = sorted(records, key=lambda record: record.moment, reverse=True)
    by_day = groupby(newest_first, key=lambda record: local(record.moment).date())
    return "".join(_day(f"{day:%A, %-d %B %Y}", list(members), outputs, local) for day, members in by_day)


def _day(
    name: str,
    records: Sequence[Record],
    outputs: Mapping[str, bytes],
    local: Callable[[datetime], datetime],
) -> str:
    entries = (_entry(record, outputs.get(record.id), local(record.moment)) for record in records)
    return f'<section class="day"><h3>{name}</h3><ol>{"".join(entries)}</ol></section>'


def _entry(record: Record, output: bytes | None, moment: datetime) -> str:
    values = "".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in views.record_values(record).items()
    )
    failed = " data-failed" if record.has_failed else ""
    return (
        f'<li data-kind="{escaped(record.kind)}" data-lane="{escaped(lane(record))}"{failed}><details>'
        f"<summary>{_summary(record, moment)}</summary>"
        f'<div class="more" id="{escaped(record.id)}">{_output(output)}<dl>{values}</dl></div></details></li>'
    )


def _summary(record: Record, moment: datetime) -> str:
    state = f"{record.state} {record.exit_code}" if record.exit_code else record.state
    cells = {
        "time": f'<time datetime="{moment.isoformat(timespec="seconds")}">{moment:%H:%M}</time>',
        "action": f"{action(record)}{_note(record)}",
        "state": f'<i class="{outcome(record)}"></i>{escaped(state)}',
        "took": "" if record.seconds is None else views.duration(record.seconds),
        "by": "schedule" if record.trigger == SCHEDULE else escaped(record.operator),
        "release": escaped(record.release or record.release_before),
    }
    return "".join(f'<span class="{name}">{cell}</span>' for name, cell in cells.items())


def action(record: Record) -> str:
    """Return what was done as HTML, with the name of a job that its command does not begin with."""
    words = views.action(record)
    job = "" if record.job in {"", words.partition(" ")[0]} else f"{escaped(record.job)} "
    return f"{job}<code>{escaped(words)}</code>"


def _note(record: Record) -> str:
    note = record.reason or record.error
    return "" if note in {"", record.trigger} else f"<small>{escaped(note)}</small>"


def _output(output: bytes | None) -> str:
    if output is None:
        return ""
    shown = f'<pre tabindex="0">{text.output(output)}</pre>' if output.strip() else "<p>No output</p>"
    return f"<h4>Last output</h4>{shown}"


def options(names: Iterable[str]) -> str:
    """Return the choices of a filter."""
    return "".join(f'<option value="{escaped(name)}">{escaped(name)}</option>' for name in sorted(set(names)))
