"""Clients notice nothing while releases are deployed, whether the releases are good or bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import with_modern
from tests.sample import FULL
from tests.scenarios.load import HITS, SLOWEST_MS, Load, change, crash_soon

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Project
    from tests.scenarios.load import Figures

pytestmark = pytest.mark.measures

RELEASES = 3 if FULL else 2

NEVER_READY = """

def ready(*_: object) -> Answer:
    return Answer(503, "Not yet.", {"error": "it waits for what never comes"})
"""


def assert_nobody_noticed(figures: Figures) -> None:
    """Check that every request got a unique number, in time, and that no number is missing."""
    assert {} == figures.failures
    assert 0 == figures.repeated
    assert figures.moved == len(figures.hits)
    assert SLOWEST_MS > figures.slowest_ms


@with_modern
def test_deploys_and_scaling_cost_no_request(serving: Project, tell: Callable[[str], None]) -> None:
    """Releases one after the other, then more workers and fewer."""
    url = serving.up()
    with Load(url) as load:
        for number in range(RELEASES):
            change(serving, f"\n# release {number}")
            assert 0 == serving.invoke("up").returncode
        for workers in (3, 1):
            assert 0 == serving.invoke("up", "--scale", f"worker={workers}").returncode
        load.reach(HITS)
    figures = load.figures()
    tell(f"{RELEASES} deploys, scaled 1 to 3 to 1, {serving.engine_name}: {figures}")

    assert_nobody_noticed(figures)
    if serving.engine_name != "local":  # there a new replica answers under the name of the old one
        assert len(figures.replicas) >= RELEASES + 3


def crash(project: Project) -> None:
    """Make a release that does not start."""
    change(project, "\nraise SystemExit('no such module')")


def never_ready(project: Project) -> None:
    """Make a release that starts and never becomes ready."""
    change(project, NEVER_READY)


def failing_migration(project: Project) -> None:
    """Make a release whose migration fails."""
    text = '"""Fail."""\n\n\ndef up(_read: object, _write: object) -> None:\n    raise ValueError("the data is odd")\n'
    (project.directory / "admin" / "migrations" / "0003_fail.py").write_text(text, "utf-8")


BAD: dict[Callable[[Project], None], tuple[int, str]] = {
    crash: (125, "no such module"),
    never_ready: (125, "is not ready after 3 s (it waits for what never comes); release "),
    failing_migration: (1, "the data is odd"),
}
"""Bad releases: the exit code of `up`, and what it says."""


@with_modern
def test_bad_releases_cost_no_request(serving: Project, tell: Callable[[str], None]) -> None:
    """If it exits at its start, never becomes ready, or its migration fails, the previous release keeps running."""
    url = serving.up()
    good = (serving.directory / "service" / "app.py").read_text("utf-8")
    with Load(url) as load:
        load.reach(100)
        before = {hit.replica for hit in load.hits}
        for make, (code, words) in BAD.items():
            make(serving)
            done = serving.invoke("up", "--ready-within", "3")
            tell(f"{make.__name__}, {serving.engine_name}: exit code {done.returncode}: {done.stderr.strip()}")
            assert (code, True) == (done.returncode, words in done.stderr)
            assert 1 == done.stderr.count("\n")
            (serving.directory / "service" / "app.py").write_text(good, "utf-8")
            (serving.directory / "admin" / "migrations" / "0003_fail.py").unlink(missing_ok=True)
    figures = load.figures()
    tell(f"{len(BAD)} bad releases, {serving.engine_name}: {figures}")

    assert_nobody_noticed(figures)
    assert before == figures.replicas


def test_release_that_crashes_soon_replaces_nothing(serving: Project) -> None:
    """It was ready, and exits while it is watched: all previous replicas keep running."""
    serving.up("worker=3")
    before = {each.id for each in serving.engine().replicas("worker")}
    crash_soon(serving)
    done = serving.invoke("up")

    assert 125 == done.returncode
    assert "crashed and was restarted" in done.stderr
    assert "the new replicas were removed, release " in done.stderr
    assert before == {each.id for each in serving.engine().replicas("worker") if each.serves}
    assert 0 == serving.invoke("status").returncode
