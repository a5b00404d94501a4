"""The commands of this project: twelfth's, and those about hits and about development.

Slow imports are in the functions that need them, so that `invoke --list` takes no longer than Invoke itself.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from twelfth import project, run_job
from twelfth.cli.command import FAILED, command, number, words_after_dashes
from twelfth.cli.outputs import drawing
from twelfth.cli.runs import waiting
from twelfth.cli.target import Target
from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from invoke.context import Context

    from twelfth.engines.contract import Engine

HERE = Path(__file__).resolve().parent

MEASURING = "tests/scenarios tests/service tests/swarm tests/typical"
"""The folders of the tests that measure; the other ones take seconds to collect."""

TESTS_FAILED = 1
"""The exit code of pytest if tests failed; it exits with 2 if it is interrupted."""


@command(
    has_plan=False,
    help={"count": "Send N requests and report their latencies", "concurrency": "Send N requests at a time"},
    placeholders={"count": "N", "concurrency": "N"},
)
def hit(c: Context, count: str = "", concurrency: str = "1", json: bool = False) -> None:
    """Request the service and print its answer.

    With --count, check that no number is returned twice.
    """
    from bench import hits
    from twelfth.cli import progress
    from twelfth.stack.status import require_address

    total, at_once = number(count or "1", "--count", 1), number(concurrency, "--concurrency", 1)
    engine = Target(c).engine()
    url = require_address(engine)
    if not (count or json):
        print(hits.sentence(url))
        return
    releases = _releases(engine)
    with progress.bar(total, "hits") as advance:
        report = hits.send_hits(url, total, at_once, advance)
    report = hits.with_releases(report, releases | _releases(engine))
    print(report.json() if json else report)
    if not report.is_good:
        raise Exit(code=FAILED)


def _releases(engine: Engine) -> dict[str, str]:
    # A replica answers with its name, the short id of its container or the id of its task.
    replicas = [replica for replica in engine.observe().replicas if replica.release]
    return {name: replica.release for replica in replicas for name in (replica.name, replica.id[:12], replica.id)}


@command(help={"to": "Set the counter to N"}, placeholders={"to": "N"}, words="[-- ARG…]")
def reset(
    _: Context,
    to: str = "0",
    wait: str = "0",
    detach: bool = False,
    timeout: str = "",
    reason: str = "",
    release: str = "",
    yes: bool = False,
) -> None:
    """Set the counter of hits, and print its previous value."""
    words = ("--to", to, *waiting(wait), *words_after_dashes())
    run_job("reset", words, release=release, timeout=timeout, reason=reason, detach=detach, yes=yes)


def _develop(c: Context, *commands: str) -> None:
    """Exit with the first exit code that is not 0."""
    if not importlib.util.find_spec("pytest"):
        raise MisuseError("the development requirements are not installed. Try: ./inv check, which installs them")
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    outputs = {"out_stream": drawing(sys.stdout), "err_stream": drawing(sys.stderr)}  # which keep their colours
    with c.cd(str(HERE)):
        for tool in commands:
            if not (result := c.run(tool, warn=True, in_stream=False, **outputs)).ok:
                raise Exit(code=result.exited)


@command()
def check(c: Context) -> None:
    """Check the format, the types and the style of all files."""
    _develop(c, "ruff check .", "ruff format --check .", "mypy")


@command(words="[-- ARG…]")
def test(c: Context) -> None:
    """Run the tests.

    Words after -- are arguments of pytest, which then runs one test at a time. Without words it runs a sample, several
    tests at a time, for about eleven minutes on two cores; with TWELFTH_SCENARIOS=full it runs all tests. Failed tests
    are repeated one at a time: they may have failed because of the load.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else hundreds of processes compile the same files
    if words := words_after_dashes():
        _develop(c, shlex.join(["pytest", *words]))
        return
    sample = "" if os.environ.get("TWELFTH_SCENARIOS") == "full" else "--sample"
    workers = max(4, os.cpu_count() or 1)  # tests mostly wait for containers
    for options in (f"-n {workers} -m 'not measures'", f"-n 3 -m measures {MEASURING}"):
        try:
            _develop(c, f"pytest --dist loadfile --no-loadscope-reorder {sample} {options}")
        except Exit as failure:
            if failure.code != TESTS_FAILED:
                raise
            print("repeat the failed tests one at a time", flush=True)
            _develop(c, "pytest --last-failed --last-failed-no-failures none")


@command(words="[-- ROUNDS]")
def bench(c: Context) -> None:
    """Compare twelfth with docker compose, redis-cli and others.

    The word after -- is the number of rounds.
    """
    programs = ("bench.beside_compose", "bench.beside_redis_cli", "bench.limit")
    _develop(c, *(shlex.join(["python", "-m", program, *words_after_dashes()]) for program in programs))


ns = project(__file__)
for task in (hit, reset, check, test, bench):
    ns.add_task(task)
