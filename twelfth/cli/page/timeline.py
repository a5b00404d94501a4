"""The timeline of a page: one lane for each job or program, drawn in SVG with horizontal positions in percent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from twelfth.cli.page.kinds import CHANGES, DEPLOYS, lane, outcome
from twelfth.cli.page.text import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from twelfth.model.record import Record

MOST_LANES = 15
"""Lanes for jobs and programs; those with the fewest runs share one."""

REST = "others"

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
STEPS = (HOUR, 3 * HOUR, DAY, 2 * DAY, WEEK, 2 * WEEK, 4 * WEEK, 13 * WEEK)
"""Distances of the lines of the time axis."""

MOST_TICKS = 15
LAST_LABEL = 96
"""Percent of the width after which a label would be cut off."""

NARROWEST = 0.4
"""Percent of the width below which the duration of a run is not drawn."""


@dataclass(frozen=True)
class Span:
    """The time from the first tick to the end, in the zone of both."""

    start: datetime
    end: datetime
    step: timedelta

    def percent(self, moment: datetime) -> float:
        """Return the horizontal position of a moment; clocks of other machines may be ahead."""
        return min(100.0, round(100 * (moment - self.start) / (self.end - self.start), 2))

    def ticks(self) -> Iterator[datetime]:
        """Yield the moments of the axis: midnights, or full hours."""
        count, moment = 0, self.start
        while moment < self.end:
            yield moment
            count += 1
            moment = self.start + count * self.step


def span(first: datetime, end: datetime) -> Span:
    """Return the span of a timeline that begins at the midnight or full hour before its first record."""
    step = next((step for step in STEPS if (end - first) / step < MOST_TICKS), STEPS[-1])
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight if step >= DAY else midnight + (first - midnight) // step * step
    return Span(start, max(end, start + HOUR), step)


def lanes(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each lane: changes first, then by name, and last those that share a lane."""
    counts = Counter(map(lane, records))
    has_changes = counts.pop(CHANGES, 0)
    shown = {name for name, _ in counts.most_common(MOST_LANES)}
    names = [*([CHANGES] if has_changes else []), *sorted(shown), *([REST] if counts.keys() - shown else [])]
    by_lane: dict[str, list[Record]] = {name: [] for name in names}
    for record in records:
        by_lane.get(lane(record), by_lane.get(REST, [])).append(record)
    return by_lane


def timeline(records: Sequence[Record], local: Callable[[datetime], datetime], now: datetime) -> str:
    """Return the timeline as HTML, "" without records."""
    if not records:
        return ""
    axis = span(local(min(record.moment for record in records)), local(now))
    rows = "".join(_lane(name, members, axis) for name, members in lanes(records).items())
    return f"{_grid(axis, records)}{rows}{_axis(axis)}"


def _grid(axis: Span, records: Sequence[Record]) -> str:
    """Return the lines that all lanes have: ticks, and deploys, after which a program may begin to fail."""
    ticks = (f'<line x1="{x}%" x2="{x}%" y2="100%"/>' for x in map(axis.percent, axis.ticks()))
    deploys = [axis.percent(record.moment) for record in records if record.kind in DEPLOYS]
    lines = (f'<line class="deploy" x1="{x}%" x2="{x}%" y2="100%"/>' for x in deploys)
    return (
        '<svg class="symbols" aria-hidden="true">'
        '<rect id="done" x="-1.5" y="9" width="3" height="10" rx="1.5"/>'
        '<path id="failed" d="M-1.5 9V25h3V9A4 4 0 1 0-1.5 9"/>'
        '<circle id="active" cy="14" r="4"/>'
        '<path id="unknown" d="M0 8l4 6-4 6-4-6z"/>'
        '<path id="deploy" d="M-5 7H5L0 15z"/>'
        f'<symbol id="grid">{"".join(ticks)}{"".join(lines)}</symbol></svg>'
    )


def _lane(name: str, records: Sequence[Record], axis: Span) -> str:
    failures = sum(record.has_failed for record in records)
    count = f"{len(records):,}" + (f" · <b>{failures:,} failed</b>" if failures else "")
    label = f"{name}: {len(records)}, {failures} failed"
    in_order = sorted(records, key=lambda record: record.has_failed)  # the last one is drawn above the others
    marks = "".join(_mark(record, axis) for record in in_order)
    return (
        f'<div class="lane"><span class="name">{escaped(name)}</span><span class="count">{count}</span>'
        f'<svg role="img" aria-label="{escaped(label)}"><use href="#grid" width="100%" height="100%"/>'
        f"{marks}</svg></div>"
    )


def _mark(record: Record, axis: Span) -> str:
    left, look = axis.percent(record.moment), outcome(record)
    shape = "deploy" if record.kind in DEPLOYS and look == "done" else look
    title = f"{record.moment.astimezone(axis.start.tzinfo):%a %-d %b, %H:%M}: {lane(record)} {record.state}"
    return (
        f'<a href="#{escaped(record.id)}" tabindex="-1"><title>{escaped(title)}</title>'
        f'{_bar(record, axis, look)}<use class="{shape}" href="#{shape}" x="{left}%"/></a>'
    )


def _bar(record: Record, axis: Span, look: str) -> str:
    if record.seconds is None and record.has_ended:
        return ""
    end = axis.end if record.seconds is None else record.moment + timedelta(seconds=record.seconds)
    width = round(axis.percent(min(end, axis.end)) - axis.percent(record.moment), 2)
    left = axis.percent(record.moment)
    return f'<rect class="{look}" x="{left}%" y="12" width="{width}%" height="4" rx="2"/>' if width >= NARROWEST else ""


def _axis(axis: Span) -> str:
    labels = "".join(_label(moment, axis) for moment in axis.ticks() if axis.percent(moment) < LAST_LABEL)
    return f'<div class="lane axis"><svg aria-hidden="true">{labels}</svg></div>'


def _label(moment: datetime, axis: Span) -> str:
    if axis.step < DAY and moment.hour:
        text = f"{moment:%H:%M}"
    elif axis.step >= WEEK:
        text = f"{moment:%-d %b}"
    else:
        text = f'<tspan class="weekday">{moment:%a} </tspan>{moment.day}'
    return f'<text x="{axis.percent(moment)}%" y="14">{text}</text>'
