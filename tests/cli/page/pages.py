"""Records and pages of tests, with text that would act if it were not escaped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from twelfth.cli.page.document import Page
from twelfth.model.record import Record

NOW = datetime(2026, 11, 30, 7, 0, tzinfo=UTC)
RESET = ("python", "-m", "admin.reset")
RECORD = Record(
    "a1b2c3d4",
    "run",
    "ann",
    "docker",
    "",
    host="ops",
    command=RESET,
    release="4f5e6d7c8b9a",
    image="sha256:1",
    seconds=0.4,
    state="done",
    exit_code=0,
)
TAGS = "</pre></script></style><script>alert(1)</script><img src=http://127.0.0.1:9/x onerror=alert(1)>\"'&lt;"
CONTROLS = "\x1b[31m\x1b]0;title\x07\x00\x08\x7f\x9b31m\u202egnp.exe\u2066\u200f"
HOSTILE = TAGS + CONTROLS


def record(hours: float = 1, **values: Any) -> Record:
    """Return the record of a run some hours ago; `ident` replaces its id."""
    ident = values.pop("ident", f"{int(hours * 1000):08x}")
    return replace(RECORD, id=ident, started=(NOW - timedelta(hours=hours)).isoformat(), **values)


def page(*records: Record, outputs: dict[str, bytes] | None = None, **values: Any) -> Page:
    """Return a page with these records, the oldest first."""
    in_order = sorted(records, key=lambda record: record.moment)
    return Page("shop", "docker", in_order, outputs or {}, NOW, zone=UTC, **values)


def hostile_page() -> Page:
    """Return a page on which all text from outside is hostile."""
    run = record(
        2,
        command=(HOSTILE, "a" * 5000),
        operator=HOSTILE,
        host=HOSTILE,
        reason=HOSTILE,
        release=HOSTILE,
        image=HOSTILE,
        state="failed",
        job=HOSTILE,
        kind=HOSTILE,
        what=HOSTILE,
        overrides=(HOSTILE,),
        has_output=True,
    )
    change = record(1, kind="up", command=(), what=HOSTILE, error=HOSTILE, state="failed", release_before=HOSTILE)
    output = HOSTILE.encode() + b"\xff\xfe\x80" + b"x" * 100_000 + b"\nlast line\n"
    return replace(page(run, change, outputs={run.id: output}, scope=HOSTILE), project=HOSTILE, engine=HOSTILE)
