"""How long scaling takes, compared with Compose on the same machine at the same time."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import pytest

from bench import hits
from tests.conftest import DOCKER_COMPOSE, eventually, make_project, require, require_program
from tests.sample import FULL
from tests.test_compose_interop import compose
from twelfth.stack.status import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Project

pytestmark = pytest.mark.measures

REPLICAS = 9
MOST_TIMES_COMPOSE = 1.5


@pytest.fixture
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Project]]:
    """Return two running stacks of one release: twelfth's and Compose's."""
    require("docker")
    require_program(DOCKER_COMPOSE)
    twelfth_stack, compose_stack = (
        make_project("docker", tmp_path_factory.mktemp(name), "5s") for name in ("twelfth", "compose")
    )
    twelfth_stack.up()
    release = compose_stack.invoke("build").stdout.split()[-1]
    compose_stack.environment["RELEASE"] = release
    compose(compose_stack, "up", "-d")
    yield twelfth_stack, compose_stack
    compose(compose_stack, "down", "--volumes")
    twelfth_stack.end()


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_many_replicas_are_added_and_removed_at_once(serving: Project) -> None:
    """Each replica has a separate port and gets requests; in the end one remains."""
    url = serving.up()
    assert 0 == serving.invoke("scale", "worker=6").returncode
    assert 6 == len({each.id for each in serving.engine().replicas("worker") if each.serves})
    assert eventually(lambda: 6 == len(hits.send_hits(url, 120, 12).replicas), 60)
    assert [] == serving.plan("worker=6")
    assert 0 == serving.invoke("scale", "worker=1").returncode
    assert ["worker-1"] == [each.name for each in serving.engine().replicas("worker")]
    assert hits.send_hits(url, 20, 4).is_good


@pytest.mark.skipif(not FULL, reason="compares seconds; TWELFTH_SCENARIOS=full runs it")
def test_scaling_takes_little_longer_than_composes(both: tuple[Project, Project], tell: Callable[[str], None]) -> None:
    """From 1 to 9 and back, by `scale` and by `up --scale`; twelfth waits until all are ready, Compose does not."""
    twelfth_stack, compose_stack = both
    for words in (("scale",), ("up", "--scale")):
        for number in (REPLICAS, 1):
            wish = f"worker={number}"
            own = seconds(functools.partial(twelfth_stack.invoke, *words, wish))
            peer = seconds(functools.partial(compose, compose_stack, "up", "-d", "--no-recreate", "--scale", wish))
            tell(f"{' '.join(words)} {wish}: {own:.1f} s, Compose {peer:.1f} s")
            assert number == len([each for each in twelfth_stack.engine().replicas("worker") if each.serves])
            assert own < MOST_TIMES_COMPOSE * peer
            assert eventually(lambda: status(twelfth_stack.engine()).ready, 60)
