"""The log: whole lines, in order, and nobody who waits for whoever reads them."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from service import json_log
from service.json_log import JsonLog
from tests.real_redis import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.service.conftest import Process

NOWHERE = {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": "1"}
MORE_THAN_A_PIPE = "x" * (1 << 17)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe; the test closes its second end."""
    ends = os.pipe()
    yield ends
    os.close(ends[0])


def lines_of(descriptor: int) -> list[dict[str, Any]]:
    """Return all lines until the end."""
    with os.fdopen(os.dup(descriptor), "rb") as log:
        return [json.loads(line) for line in log]


def test_a_reader_that_stalls_stops_nothing(serve: Callable[..., Process]) -> None:
    """The pipe is full: requests are answered, checks too, and SIGTERM is obeyed in time."""
    process = serve(NOWHERE)
    statuses = [process.ask(f"/{'x' * 1000}").status for _ in range(100)]
    health = process.ask("/healthz").status
    process.signal(signal.SIGTERM)
    began = time.monotonic()

    assert ({404}, 200) == (set(statuses), health)
    assert 0 == process.wait()
    assert time.monotonic() - began < 5


def test_nothing_is_lost_to_who_reads(serve: Callable[..., Process]) -> None:
    """Every request has its line before that of the stop, under load, too."""
    process = serve(NOWHERE)
    with ThreadPoolExecutor(8) as clients:
        identities = [reply.headers["X-Request-Id"] for reply in clients.map(lambda _: process.ask("/x"), range(200))]
    process.signal(signal.SIGTERM)
    _, lines = process.end()

    assert "stop" == lines.pop()["event"]
    assert sorted(identities) == sorted(line["request_id"] for line in lines)
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def test_lines_that_are_dropped_are_counted(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader stalls and comes back: it finds how many lines are missing, where they are, and those after them."""
    read_end, end = pipe
    monkeypatch.setattr(json_log, "MOST_LINES", 5)
    log = JsonLog(end, "one")
    log.note("long", text=MORE_THAN_A_PIPE)
    select.select([read_end], [], [])  # it is being written
    for number in range(8):
        log.note("short", number=number)
    with os.fdopen(os.dup(read_end), "rb") as reader:
        lines = [json.loads(reader.readline()) for _ in range(7)]
        log.note("after")
        log.close()
        lines.append(json.loads(reader.readline()))
    os.close(end)

    assert ["long", *["short"] * 5, "dropped", "after"] == [line["event"] for line in lines]
    assert (list(range(5)), 3) == ([line["number"] for line in lines[1:6]], lines[6]["lines"])


def test_the_end_does_not_wait_for_a_reader_that_stalls(pipe: tuple[int, int]) -> None:
    """It gives up after a while."""
    read_end, end = pipe
    log = JsonLog(end, "one")
    log.note("long", text=MORE_THAN_A_PIPE)
    began = time.monotonic()
    log.close(0.05)

    assert time.monotonic() - began < 1
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(lines_of, read_end)
        log.close()
        os.close(end)

        assert 1 == len(read.result())


def test_a_descriptor_that_does_not_block_has_whole_lines(pipe: tuple[int, int]) -> None:
    """Whoever shares a terminal or a pipe may have made it so."""
    read_end, end = pipe
    os.set_blocking(end, False)
    log = JsonLog(end, "one")
    for _ in range(3):
        log.note("long", text=MORE_THAN_A_PIPE)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(lines_of, read_end)
        log.close()
        os.close(end)

        assert 3 == len(read.result())


def test_a_full_disk_costs_lines_and_tears_none(tmp_path: Path) -> None:
    """The line in the middle of which it was full is ended when there is room again."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "log").open("wb") as file:
        log = JsonLog(file.fileno(), "one")
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))
        try:
            for number in range(3):
                log.note("before", number=number)
            eventually(lambda: 150 == file.tell() or 150 == (tmp_path / "log").stat().st_size)
            log.note("meanwhile")
            time.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.note("after")
        log.close()

    lines = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert [("before", None), ("before", None), ("after", None), ("dropped", 2)] == [
        (line["event"], line.get("lines")) for line in lines
    ]


def test_a_log_that_nobody_reads_any_more_is_no_error() -> None:
    """The reader is gone for good: lines are dropped, and the end comes at once."""
    reader, end = os.pipe()
    os.close(reader)
    log = JsonLog(end, "one")
    log.note("one")
    began = time.monotonic()
    log.close(10)
    os.close(end)

    assert time.monotonic() - began < 5
