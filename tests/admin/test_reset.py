"""`python -m admin.reset`, as a process, on a real Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real_redis import RealRedis, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = (
    "import os, redis; r = redis.Redis(host=os.environ['HOST_REDIS'], port=int(os.environ['PORT_REDIS'])); "
    "r.set('hits', 0)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """Yield a Redis for all tests of this module."""
    started = RealRedis(tmp_path_factory.mktemp("redis"))
    yield started
    started.kill()


def python(environment: dict[str, str], *arguments: str, given: str | None = None) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        input=given,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def reset(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run the command."""
    return python(environment, "-m", "admin.reset", *arguments)


@pytest.mark.parametrize(
    ("held", "arguments", "said"),
    [
        (b"42", [], "hits was 42, is 0 now\n"),
        (b"42", ["--to", "7"], "hits was 42, is 7 now\n"),
        (b"42", ["--to", "-7"], "hits was 42, is -7 now\n"),
        (b"a\nb", [], "hits was 'a\\nb', is 0 now\n"),
    ],
)
def test_it_tells_what_was_and_what_is(server: RealRedis, held: bytes, arguments: list[str], said: str) -> None:
    """One line on standard output, exit 0."""
    server.client.set("hits", held)

    assert (0, said, "") == reset(server.environment, *arguments)


def test_it_tells_that_nothing_was(server: RealRedis) -> None:
    """A missing counter is set, too."""
    server.client.delete("hits")

    assert (0, "hits was not set, is 0 now\n", "") == reset(server.environment)
    assert b"0" == server.client.get("hits")


@pytest.mark.parametrize("to", ["x", "1.5", "9223372036854775808", "-9223372036854775809", "9" * 5000, ""])
def test_what_is_no_number_is_misuse(server: RealRedis, to: str) -> None:
    """Exit 2, and the counter is unchanged."""
    server.client.set("hits", 42)
    code, _, said = reset(server.environment, f"--to={to}")

    assert (2, True) == (code, "must be an integer of 64 bits" in said)
    assert b"42" == server.client.get("hits")


def test_redis_away_is_one_line_soon() -> None:
    """Exit 1 after a short wait, with the address and what to type."""
    began = time.monotonic()
    port = free_port()
    code, _, said = reset({"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(port)})

    assert (1, 1) == (code, said.count("\n"))
    assert said.startswith(f"reset: redis://127.0.0.1:{port}/0 does not answer: ")
    assert time.monotonic() - began < 10


def test_bad_settings_are_one_line() -> None:
    """Exit 2, no traceback."""

    assert (2, "", "reset: PORT_REDIS must be a number from 1 to 65535, not 'x'\n") == reset({"PORT_REDIS": "x"})


def test_the_chapters_own_script_resets(server: RealRedis) -> None:
    """Its lines on standard input of a Python in the same environment do the same."""
    server.client.set("hits", 42)

    assert (0, "", "") == python(server.environment, "-", given=CHAPTER)
    assert b"0" == server.client.get("hits")


def test_its_first_line_is_its_help() -> None:
    """The list of commands shows the first line of the module."""

    assert "Set the counter of hits to 0, or to N, and print its previous value." in reset({}, "--help")[1]
