"""The whole page; pure."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from twelfth.cli.page.entries import action, days, options
from twelfth.cli.page.kinds import DEPLOYS, lane
from twelfth.cli.page.text import escaped
from twelfth.cli.page.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo

    from twelfth.model.record import Record

MARK = '<!doctype html>\n<html lang="en" data-page="twelfth history">\n'
"""The start of each page, by which `history --html` knows that it may replace a file."""

RECENT = timedelta(hours=24)
"""Failures of this time are counted in the headline."""

LINKED = 5
"""The latest failures that the headline links to."""


@dataclass(frozen=True)
class Page:
    """What a page shows: records, the oldest first, and the last output of runs by id.

    `zone` is that of its times, None for that of this machine. `scope` says which records they are.
    """

    project: str
    engine: str
    records: Sequence[Record]
    outputs: Mapping[str, bytes]
    now: datetime
    scope: str = ""
    zone: tzinfo | None = None

    def local(self, moment: datetime) -> datetime:
        """Return a moment in the zone of the page."""
        return moment.astimezone(self.zone)


def document(page: Page) -> str:
    """Return the page as HTML."""
    style, script = _file("page.css"), _file("page.js")
    return MARK + Template(_file("page.html")).substitute(
        style=style,
        style_hash=_checksum(style),
        script=script,
        script_hash=_checksum(script),
        project=escaped(page.project),
        engine=escaped(page.engine),
        scope=escaped(page.scope),
        written=page.now.isoformat(timespec="seconds"),
        written_local=f"{page.local(page.now):%A, %-d %B %Y, %H:%M %Z}",
        headline=_headline(page),
        facts="".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(page)),
        timeline=timeline(page.records, page.local, page.now),
        kinds=options(record.kind for record in page.records),
        lanes=options(lane(record) for record in page.records),
        days=days(page.records, page.outputs, page.local),
    )


@functools.cache
def _file(name: str) -> str:
    return (resources.files(__package__) / name).read_text("utf-8")


def _checksum(text: str) -> str:
    """Return the source of a Content-Security-Policy that allows exactly this text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _headline(page: Page) -> str:
    """Return whether anything failed, which is what a reader wants to know first."""
    if not page.records:
        return '<p class="headline">Nothing is recorded in this time.</p>'
    failures = [record for record in reversed(page.records) if record.has_failed]
    recent = sum(record.moment >= page.now - RECENT for record in failures)
    sentence = f"{recent} failed in the last 24 hours" if recent else "Nothing failed in the last 24 hours"
    links = "".join(_link(record, page) for record in failures[:LINKED])
    latest = f'<ul class="latest" aria-label="Latest failures">{links}</ul>' if links else ""
    return f'<p class="headline {"failed" if recent else "done"}">{sentence}</p>{latest}'


def _link(record: Record, page: Page) -> str:
    moment, note = page.local(record.moment), record.error or record.state
    return f'<li><a href="#{escaped(record.id)}">{moment:%a %-d %b, %H:%M} {action(record)}</a> {escaped(note)}</li>'


def _facts(page: Page) -> Iterator[tuple[str, str]]:
    runs = [record for record in page.records if record.is_run]
    deploys = [record for record in page.records if record.kind in DEPLOYS]
    failures = sum(record.has_failed for record in page.records)
    yield "runs", f"{len(runs):,}"
    yield "deploys", f"{len(deploys):,}"
    yield "failures", f"{failures:,}"
    if deploy := next((record for record in reversed(deploys) if not record.has_failed and record.release), None):
        yield (
            "last deploy",
            f"<code>{escaped(deploy.release)}</code> <small>{page.local(deploy.moment):%a %-d %b, %H:%M}</small>",
        )
