"""`history --html` writes a page of what was recorded."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from tests.memory_engine import Memory, World
from twelfth.cli import history
from twelfth.cli.page.document import MARK
from twelfth.model.record import Record
from twelfth.model.stack import Stack
from twelfth.runs.ledger import Ledger

NOW = datetime.now(UTC)
RECORD = Record("", "run", "ann", "memory", "", command=("true",), release="r", state="done", exit_code=0, seconds=1.0)


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Return the engine of the command, with records of the last 30 days; each third run has failed."""
    engine = Memory(Stack("shop", Path("/shop"), ()), World())
    ledger = Ledger(engine.state)
    for day in range(30):
        started = (NOW - timedelta(days=day, minutes=1)).isoformat()
        state = "done" if day % 3 else "failed"
        ledger.start(record := replace(RECORD, id=f"{day:08x}", started=started, state=state))
        ledger.end([record])
    monkeypatch.setattr(history, "Target", lambda _: SimpleNamespace(engine=lambda: engine))
    return engine


def write(file: str, *, dry: bool = False, **options: Any) -> None:
    """Execute the command."""
    context = Context()
    context.config.run.dry = dry
    history.history(context, html=file, **options)


def days(text: str) -> list[int]:
    """Return how many days ago the runs on a page were."""
    return [int(ident, 16) for ident in re.findall('<div class="more" id="(.*?)"', text)]


@pytest.mark.parametrize(
    ("options", "shown", "scope"),
    [
        ({}, list(range(14)), "since "),
        ({"last": "3"}, [0, 1, 2], "the last 3"),
        ({"since": "5d"}, list(range(5)), "since "),
        ({"since": "5d", "last": "2"}, [0, 1], "the last 2"),
        ({"failed": True}, [0, 3, 6, 9, 12], ", only failures"),
        ({"failed": True, "last": "2"}, [0, 3], "the last 2, only failures"),
    ],
)
def test_page_has_the_requested_records(tmp_path: Path, options: dict[str, Any], shown: list[int], scope: str) -> None:
    """By default those of the last 14 days."""
    write(str(tmp_path / "page.html"), **options)
    text = (tmp_path / "page.html").read_text("utf-8")

    assert shown == days(text)
    assert scope in re.findall("Runs and changes <small>(.*?)</small>", text)[0]


def test_page_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser has to show it."""
    monkeypatch.setattr(history, "LARGEST", 4)
    for last, since in (("", ""), ("", "20d"), ("20", "")):
        write(str(tmp_path / "page.html"), last=last, since=since)
        assert [0, 1, 2, 3] == days((tmp_path / "page.html").read_text("utf-8"))


def test_page_is_written_again_and_another_file_is_not_replaced(tmp_path: Path) -> None:
    """A scheduled command replaces its own page."""
    page, other = tmp_path / "page.html", tmp_path / "compose.yaml"
    other.write_text("services: {}\n")
    write(str(page))
    write(str(page), last="1")
    with pytest.raises(Exit, match="it is not a page of runs"):
        write(str(other))

    assert [0] == days(page.read_text("utf-8"))
    assert ({page, other}, "services: {}\n") == (set(tmp_path.iterdir()), other.read_text())


def test_page_on_standard_output_is_the_same_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Whatever the encoding of the terminal is."""
    write("-", last="1")
    printed = capfdbinary.readouterr()

    assert (MARK.encode(), b"") == (printed.out[: len(MARK)], printed.err)
    assert printed.out.endswith(b"</html>\n")


def test_dry_writes_nothing(tmp_path: Path) -> None:
    """Also no temporary file."""
    write(str(tmp_path / "page.html"), dry=True)

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"run": "0"}, {"json": True}])
def test_invalid_use_is_refused(options: dict[str, Any]) -> None:
    """A page is of several records."""
    with pytest.raises(Exit, match="--html cannot be combined with RUN or --json"):
        write("-", **options)
