"""The page as a document: what it shows, and that nothing on it acts or is loaded."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from tests.cli.page.pages import RESET, hostile_page, page, record
from twelfth.cli.page.document import MARK, document

ADDRESSES = {"src", "href", "action", "formaction", "data", "poster", "srcset", "background", "ping", "style"}
VOID = {"meta", "input"}
RAW = {"script", "style"}


class Elements(HTMLParser):
    """What a document consists of."""

    def __init__(self, text: str) -> None:
        """Parse the document."""
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.raw: dict[str, str] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an element of SVG."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """Check that elements are closed in the order of their nesting."""
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """Remember the style and the script."""
        if self.open and self.open[-1] in RAW:
            self.raw[self.open[-1]] = self.raw.get(self.open[-1], "") + data


@pytest.mark.parametrize("hostile", [False, True])
def test_nothing_on_a_page_acts_or_is_loaded(hostile: bool) -> None:  # noqa: FBT001
    """One style and one script, whose checksums are the only ones that the policy allows."""
    elements = Elements(document(hostile_page() if hostile else page(record())))
    policy = next(value for name, value in elements.attributes if name == "content" and "default-src" in value)

    assert [] == elements.open
    assert [1, 1] == [elements.tags.count(tag) for tag in sorted(RAW)]
    assert {"img", "iframe", "object", "embed", "link", "base"}.isdisjoint(elements.tags)
    assert [] == [name for name, _ in elements.attributes if name.startswith("on") or name in ADDRESSES - {"href"}]
    assert {"#"} == {value[:1] for name, value in elements.attributes if name == "href"}
    assert "default-src 'none'" in policy
    for tag in RAW:
        digest = base64.b64encode(hashlib.sha256(elements.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_text_is_shown_escaped() -> None:
    """The page has only characters that a browser shows; long lines are cut."""
    text = document(hostile_page())

    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)
    assert "&lt;script&gt;alert(1)" in text
    assert "\\u202egnp.exe" in text
    assert "last line</pre>" in text
    assert len(text) < 150_000


def test_page_has_its_mark() -> None:
    """By which it is recognized before it is replaced."""
    assert document(page()).startswith(MARK)


def test_page_without_records_is_not_a_success() -> None:
    """Nothing may have been recorded because a schedule has stopped."""
    assert "Nothing is recorded in this time." in document(page())


def test_headline_counts_the_failures_of_a_day() -> None:
    """And links to the latest ones, the newest first."""
    old, new = record(30, state="failed"), record(2, state="timeout", exit_code=124)
    text = document(page(old, new, record(1)))

    assert ("Nothing failed", "1 failed in the last 24 hours") == (
        re.findall("Nothing failed|[0-9]+ failed in the last 24 hours", document(page(old)))[0],
        re.findall("Nothing failed|[0-9]+ failed in the last 24 hours", text)[0],
    )
    assert [new.id, old.id] == re.findall('<li><a href="#(.{8})">', text)


def test_facts_are_counted() -> None:
    """The last deploy is the last one that succeeded."""
    deploy = record(5, kind="up", command=(), release="new")
    failed = record(3, kind="up", command=(), release="newer", state="failed")
    text = document(page(deploy, failed, record(1), record(2)))

    assert {"<dt>runs</dt><dd>2<", "<dt>deploys</dt><dd>2<", "<dt>failures</dt><dd>1<"} <= {
        *re.findall(r"<dt>\w+</dt><dd>\d+<", text)
    }
    assert "<dd><code>new</code> <small>Mon 30 Nov, 02:00" in text


def test_records_are_listed_by_day_the_newest_first() -> None:
    """With times of the page's zone."""
    text = document(page(record(1), record(2), record(8), record(30)))

    assert ["Monday, 30 November 2026", "Sunday, 29 November 2026"] == re.findall("<h3>(.*?)</h3>", text)
    assert ["06:00", "05:00", "23:00", "01:00"] == re.findall(r"<time datetime=[^>]*>(\d\d:\d\d)</time>", text)


def test_entry_has_all_of_a_record_and_its_last_output() -> None:
    """Also what its line shows in short."""
    run = record(1, command=(*RESET, "--to", "5"), reason="ticket 7", state="failed", exit_code=3, has_output=True)
    text = document(page(run, outputs={run.id: b"out\n"}))

    assert "<code>reset --to 5</code><small>ticket 7</small>" in text
    assert '<i class="failed"></i>failed 3' in text
    assert "<dt>command</dt><dd>python -m admin.reset --to 5</dd>" in text
    assert f"logs --run {run.id}</dd>" in text
    assert ">out</pre>" in text


def test_job_is_named_before_its_command() -> None:
    """Unless the command begins with its name."""
    text = document(page(record(1, job="nightly", state="failed"), record(2, job="reset")))

    assert 2 == text.count("nightly <code>reset</code>")
    assert "reset <code>" not in text.replace("nightly <code>", "")


def test_missing_output_is_not_shown_as_empty() -> None:
    """A run that printed nothing is shown as such."""
    run = record(1)

    assert "Last output" not in document(page(run))
    assert "<p>No output</p>" in document(page(run, outputs={run.id: b"\n"}))


def test_scheduled_run_is_by_its_schedule() -> None:
    """Its operator, who runs the scheduler, is in the details."""
    text = document(page(record(1, trigger="schedule", reason="schedule")))

    assert '<span class="by">schedule</span>' in text
    assert "<small>schedule</small>" not in text
    assert "<dt>operator</dt><dd>ann</dd>" in text


def test_filters_offer_what_the_page_has() -> None:
    """Each once, in order."""
    records = [record(1), record(2, job="b"), record(3, kind="up", command=()), record(4)]
    text = document(page(*records))

    assert ["", "run", "up", "", "b", "changes", "reset"] == re.findall('<option value="(.*?)"', text)
