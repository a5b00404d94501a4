"""Three byte streams: nothing is translated, added, merged or lost."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually
from tests.runs.client import attended, detached, record, run
from twelfth.runs.recording import KEPT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Project

pytestmark = pytest.mark.sampled_on("docker")

MANY = 60
"""The number of runs that must be complete; more than are kept, so that records are removed meanwhile."""
BRIEF = ("sh", "-c", "echo out; echo err >&2")
"""A process that exits immediately, and prints on both outputs."""


def test_streams_are_exact_and_apart(serving: Project) -> None:
    """Any bytes go in and come out; standard error stays separate."""
    data = random.Random(12).randbytes(3_000_000)  # noqa: S311 - data for a test
    done = run(serving, "--", "sh", "-c", "echo warning >&2; cat", stdin=data)

    assert data == done.stdout
    assert b"warning\n" == done.stderr


@pytest.mark.thorough
def test_hundred_megabytes_go_through_unchanged(serving: Project, tmp_path: Path) -> None:
    """From a file, through a run's input and output, to a file; nothing else is printed."""
    given, taken, errors = (tmp_path / name for name in ("given", "taken", "errors"))
    given.write_bytes(random.Random(100).randbytes(100_000_000))  # noqa: S311 - data for a test
    with given.open("rb") as source, taken.open("wb") as target, errors.open("wb") as error:
        client = serving.start("run", "--", "cat", stdin=source, stdout=target, stderr=error)

    assert 0 == client.wait(120)
    assert digest(given) == digest(taken)
    assert b"" == errors.read_bytes()


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_arguments_arrive_as_they_were_typed(serving: Project) -> None:
    """Spaces, quotes, newlines, an empty one, a dash, two dashes, other scripts."""
    words = ["a  b", "'\"", "x\ny", "", "-", "--", "$HOME", "é☃", "--flag=1"]
    done = run(serving, "--", "python", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *words)

    assert words == json.loads(done.stdout)


def test_closed_input_reaches_the_process_and_open_input_holds_nothing_up(serving: Project) -> None:
    """`wc` ends when its input does; a process that reads nothing ends by itself."""
    assert b"3" == run(serving, "--", "wc", "-c", stdin=b"abc").stdout.strip()
    reader, writer = os.pipe()
    client = serving.start("run", "--", "true", stdin=reader)
    assert 0 == client.wait(60)
    os.close(reader)
    os.close(writer)


@pytest.mark.thorough
def test_both_outputs_of_processes_that_end_at_once_are_complete(serving: Project) -> None:
    """60 of 60, two at a time, each making room for the next as a client does; 50 are kept."""
    done = attended(serving, *BRIEF, times=MANY, at_once=2)

    assert [(0, b"out\n", b"err\n")] * MANY == [(each.code, each.out, each.err) for each in done]
    assert KEPT == len(serving.runs.records())


@pytest.mark.thorough
def test_client_prints_both_outputs_of_a_process_that_ends_at_once(serving: Project) -> None:
    """The client is attached before the process starts."""
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lambda _: run(serving, "--", *BRIEF), range(10)))

    assert [(b"out\n", b"err\n")] * 10 == [(done.stdout, done.stderr) for done in outcomes]


@pytest.mark.thorough
def test_reader_that_goes_away_ends_the_run(serving: Project) -> None:
    """As in `| head -1`: the run gets TERM, and the client ends as any writer to a closed pipe."""
    client = serving.start("run", "--", "yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert client.stdout
    client.stdout.read(10)
    client.stdout.close()

    assert 141 == client.wait(60)
    assert eventually(lambda: record(serving)["exit_code"] is not None)


@pytest.mark.thorough
def test_what_a_run_leaves_behind_ends_with_it(serving: Project) -> None:
    """A container's processes end with its first one; the output is complete, however slow the reader is."""
    client = serving.start(
        "run", "--", "sh", "-c", "sleep 63 & head -c 450000 /dev/zero", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    time.sleep(4)  # the slowness of the reader

    assert 450_000 == len(client.communicate(timeout=60)[0])
    assert 0 == client.returncode


def test_followed_log_of_a_detached_run_has_all_of_both_streams(serving: Project) -> None:
    """`logs --run ID --follow` exits with the run, and keeps the two outputs separate."""
    identity = detached(serving, "--", "sh", "-c", "echo one; sleep 1; echo two >&2; echo three")
    done = serving.invoke("logs", "--run", identity, "--follow")

    assert ("one\nthree\n", "two\n") == (done.stdout, done.stderr)


@pytest.mark.thorough
def test_output_of_a_run_begins_where_it_is_asked_to(serving: Project) -> None:
    """`logs --run ID` with `--tail` and `--since`, as of a service."""
    run(serving, "--", "sh", "-c", "echo one; echo two; echo three")
    identity = record(serving)["id"]

    assert "two\nthree\n" == serving.invoke("logs", "--run", identity, "--tail", "2").stdout
    assert "three\n" == serving.invoke("logs", "--run", identity, "--tail", "1", "--since", "1h").stdout
    assert "" == serving.invoke("logs", "--run", identity, "--since", "0s").stdout
