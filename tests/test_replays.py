"""A hit is counted once, whatever becomes of the worker that counted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import hits
from tests.conftest import eventually
from twelfth.stack.status import status

if TYPE_CHECKING:
    from tests.conftest import Project

END_AFTER_THE_THIRD_HIT = """

def _hit_once(self, hit=Counter.hit):
    number = hit(self)
    if number == 3:
        import os
        os._exit(137)
    return number


Counter.hit = _hit_once
"""


def test_hit_of_a_worker_that_dies_as_soon_as_it_has_counted_is_counted_once(project: Project) -> None:
    """The visitor gets an error, nobody gets the number, and the next visitor gets the following one."""
    with (project.directory / "service" / "counter.py").open("a", encoding="utf-8") as counter:
        counter.write(END_AFTER_THE_THIRD_HIT)
    url = project.up("worker=2")
    before = hits.send_hits(url, 3, 1)

    assert (2, 1, 2) == (before.answered, sum(before.failures.values()), before.last)
    assert eventually(lambda: status(project.engine()).ready)
    assert "Hello World! 4 times." == hits.sentence(url)
