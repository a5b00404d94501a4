"""The commands of this project: the tool's (`twelfth/`), and what is about hits and about developing it.

Heavy things are imported where they are used, so that `invoke --list` costs what Invoke itself costs.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from twelfth import project
from twelfth.cli.command import FAILED, command, number, words_after_dashes
from twelfth.cli.data import waiting
from twelfth.cli.outputs import drawing
from twelfth.cli.runs import start_admin
from twelfth.cli.target import Target
from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from invoke.context import Context

    from twelfth.engines.contract import Engine

HERE = Path(__file__).resolve().parent

TESTS_FAILED = 1
"""The exit code of pytest if tests failed; it exits with 2 if it is interrupted."""


@command(has_plan=False, help={"count": "how many", "concurrency": "at a time"})
def hit(c: Context, count: str = "", concurrency: str = "1", json: bool = False) -> None:
    """Visit the service: print its sentence, or with --count what many visits prove."""
    from bench import hits
    from twelfth.cli import progress
    from twelfth.stack.status import require_address

    many, at_once = number(count or "1", "--count", 1), number(concurrency, "--concurrency", 1)
    engine = Target(c).engine
    url = require_address(engine)
    if not (count or json):
        print(hits.sentence(url))
        return
    before = _releases(engine)
    with progress.bar(many, "hits") as advance:
        report = hits.send_hits(url, many, at_once, advance)
    report = hits.with_releases(report, before | _releases(engine))
    print(report.json() if json else report)
    if not report.is_good:
        raise Exit(code=FAILED)


def _releases(engine: Engine) -> dict[str, str]:
    """Return the release of each replica by what it signs with: its name, its container's short id, or its task's."""
    replicas = [each for each in engine.observe().replicas if each.release]
    return {sign: each.release for each in replicas for sign in (each.name, each.id[:12], each.id)}


@command(help={"to": "the value to go on from"})
def reset(c: Context, to: str = "0", wait: str = "0", reason: str = "", release: str = "") -> None:
    """Set the counter, to 0 unless told otherwise, and say what it was."""
    start_admin(c, Target(c, release), "reset", "--to", to, *waiting(wait), reason=reason, interactive=False)


def _develop(c: Context, *commands: str) -> None:
    """Run tools of this environment, each on the whole tree; exit with the first code that is not 0."""
    if not importlib.util.find_spec("pytest"):
        raise MisuseError("what tests and checks need is not installed; it is, once and by itself, with: ./inv check")
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    outputs = {"out_stream": drawing(sys.stdout), "err_stream": drawing(sys.stderr)}  # with colours
    with c.cd(str(HERE)):
        for each in commands:
            if not (result := c.run(each, warn=True, in_stream=False, **outputs)).ok:
                raise Exit(code=result.exited)


@command()
def check(c: Context) -> None:
    """Lint, format-check and type-check the tree."""
    _develop(c, "ruff check .", "ruff format --check .", "mypy")


@command(takes_words=True)
def test(c: Context) -> None:
    """Run the tests; what follows -- goes to pytest, which then runs what it says, one after the other.

    Without any it takes about seven minutes on two cores: a sample, several tests at a time. TWELFTH_SCENARIOS=full
    runs all of them, for about an hour. What failed is repeated, one test after the other: it may have failed for what
    ran at the same time.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # with it some hundred processes would compile the same files again
    if words := words_after_dashes():
        _develop(c, shlex.join(["pytest", *words]))
        return
    sample = "" if os.environ.get("TWELFTH_SCENARIOS") == "full" else "--sample"
    workers = max(6, os.cpu_count() or 1)  # most of a test's time it waits for containers
    for options in (f"-n {workers} -m 'not measures'", "-n 3 -m measures"):
        try:
            _develop(c, f"pytest --dist loadfile --no-loadscope-reorder {sample} {options}")
        except Exit as failure:
            if failure.code != TESTS_FAILED:
                raise
            print("what failed is repeated, with nothing beside it", flush=True)
            _develop(c, "pytest --last-failed --last-failed-no-failures none")


@command(takes_words=True)
def bench(c: Context) -> None:
    """Time twelfth beside docker compose, redis-cli, Flask and others; what follows -- is the number of rounds."""
    programs = ("bench.beside_compose", "bench.beside_redis_cli", "bench.limit")
    _develop(c, *(shlex.join(["python", "-m", program, *words_after_dashes()]) for program in programs))


ns = project(__file__)
for task in (hit, reset, check, test, bench):
    ns.add_task(task)
