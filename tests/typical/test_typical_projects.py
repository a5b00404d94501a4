"""Typical projects, deployed under load: a bad release costs their clients no request."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.typical.load import load
from tests.typical.setups import GOOD, RELEASED, SETUPS, Typical, project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BAD = [
    pytest.param(name, change, id=f"{name}-{change}")
    for name in RELEASED
    for change in SETUPS[name].changes
    if change != GOOD
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Typical]]:
    """Return a function that returns the project of a set-up, up; tests share it."""
    with contextlib.ExitStack() as projects:

        @functools.cache
        def start(name: str) -> Typical:
            typical = projects.enter_context(project(name, tmp_path_factory.mktemp(name)))
            typical.printed("up")
            return typical

        yield start


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "change"), BAD)
def test_bad_deploy_fails_no_request(running: Callable[[str], Typical], name: str, change: str) -> None:
    """The release that was running stays, and answers."""
    project = running(name)
    before = project.release()
    with project.changed(change), load(project.port) as clients:
        done = project.twelfth("up", "--ready-within", "10")

    assert done.returncode, done.stdout
    assert (0, True) == (clients.failed, clients.answered > 0), (clients.failures, done.stderr)
    assert before == project.release()


@pytest.mark.thorough
@pytest.mark.parametrize("name", RELEASED)
def test_good_deploy_is_announced_and_rolled_back(running: Callable[[str], Typical], name: str) -> None:
    """A service that publishes a port gives no answers for a moment, as `up` predicts; so does a rollback."""
    project = running(name)
    before = project.release()
    with project.changed(GOOD), load(project.port) as clients:
        done = project.twelfth("up")

    assert 0 == done.returncode, done.stderr
    assert f"web publishes {project.port}: about " in done.stdout + done.stderr
    assert clients.answered > clients.failed
    assert eventually(lambda: "second" in project.page())
    project.printed("rollback")
    assert before == project.release()
    assert eventually(lambda: "second" not in project.page())


@pytest.mark.measures
@pytest.mark.thorough
@pytest.mark.parametrize("name", RELEASED)
def test_behind_the_proxy_deploy_and_rollback_fail_no_request(tmp_path: Path, name: str) -> None:
    """The servers of these projects know nothing of the proxy: it drains them before they get SIGTERM."""
    with project(name, tmp_path, is_proxied=True) as typical:
        typical.printed("up")
        before = typical.release()
        with load(typical.port) as clients:
            with typical.changed(GOOD):
                typical.printed("up")
            second = typical.page()
            typical.printed("rollback")
        after = typical.release()

    assert (0, True) == (clients.failed, clients.answered > 0), clients.failures
    assert (before, True) == (after, "second" in second)


@pytest.mark.thorough
def test_celery_and_django_share_a_directory(running: Callable[[str], Typical]) -> None:
    """The worker writes what a run of the web service reads; a new release may be tried next to both."""
    project = running("django")
    publish = "from config.celery import publish; publish.delay('kept')"
    project.printed("run", "--", "python", "manage.py", "shell", "--verbosity", "0", "--command", publish)

    assert eventually(lambda: "kept" == project.twelfth("run", "--", "cat", "public/text").stdout)


@pytest.mark.thorough
def test_mounted_source_is_outside_the_release(tmp_path: Path) -> None:
    """`up`, `status` and `rollback` warn: what a replica runs when it starts is what the directory has then."""
    with project("mounted", tmp_path) as typical:
        first = typical.twelfth("up")
        with typical.changed(GOOD):
            typical.printed("up")
            good = typical.twelfth("rollback")
            page = typical.page()
            typical.printed("up")
        with typical.changed("import error"), load(typical.port) as clients:
            bad = typical.twelfth("up", "--ready-within", "10")
            back = typical.twelfth("rollback", "--ready-within", "10")
        status = typical.twelfth("status")

    assert (0, 0, 0) == (first.returncode, good.returncode, clients.failed)
    assert "second" in page  # the release is the previous one, and the code is not
    assert (True, True) == (bad.returncode > 0, back.returncode > 0)
    assert f"does not change {tmp_path}, which is mounted over the code" in back.stderr
    assert ["web: source mounted: " in done.stderr for done in (first, good, bad, back, status)] == [True] * 5
