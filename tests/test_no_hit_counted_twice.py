"""A hit is counted once, whatever becomes of the worker that counted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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


@pytest.mark.thorough
def test_hit_of_a_worker_that_dies_as_soon_as_it_has_counted_is_counted_once(project: Project) -> None:
    """The client gets an error, no one gets the number, and the next client gets the following one."""
    with (project.directory / "service" / "counter.py").open("a", encoding="utf-8") as counter:
        counter.write(END_AFTER_THE_THIRD_HIT)
    url = project.up("worker=2")
    before = hits.send_hits(url, 3, 1)

    assert (2, 1, 2) == (before.answered, sum(before.failures.values()), before.last)
    assert eventually(lambda: status(project.engine()).ready)
    assert "Hello World! 4 times." == hits.sentence(url)


BREAK_OFF_EVERY_SECOND_HIT = '''
"""Count each hit in Redis, and break off instead of an answer to every second one, as a worker that dies does."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis

client = redis.Redis(os.environ["HOST_REDIS"], int(os.environ["PORT_REDIS"]))


class Worker(BaseHTTPRequestHandler):
    def do_GET(self):
        number = client.incr("hits") if self.path == "/" else 0
        if number % 2 == 0:
            body = json.dumps({"hits": number}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 8000
ThreadingHTTPServer(("", port), Worker).serve_forever()
'''


@pytest.mark.thorough
def test_hundred_hits_that_are_counted_and_not_answered_are_counted_once(project: Project) -> None:
    """Neither door sends one to the other worker."""
    (project.directory / "service" / "__main__.py").write_text(BREAK_OFF_EVERY_SECOND_HIT, "utf-8")
    url = project.up("worker=2")
    report = hits.send_hits(url, 200, 1)

    assert (100, 100, 200) == (report.answered, sum(report.failures.values()), report.last)
