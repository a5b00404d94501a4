"""Start a run, attached or detached, or show how it would differ from its source."""

from __future__ import annotations

import json
import shlex
from collections import deque
from typing import TYPE_CHECKING

from twelfth.engines.lines import telling, whole_lines
from twelfth.model.duration import plain
from twelfth.model.snapshot import missing_resources
from twelfth.model.stack import Network
from twelfth.runs import terminal
from twelfth.runs.manage import wait_for_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twelfth.engines.contract import Engine
    from twelfth.model.run import RunRequest


TOLD = 20
"""Lines before the end of a run that failed that may tell why."""

KEPT = 50
"""How many records of ended runs are kept."""


def describe(engine: Engine, wanted: RunRequest) -> str:
    """Return as a diff how the run would differ from what it is made from: the command, the rest by name only."""
    replica = wanted.replica
    theirs = shlex.join(json.loads(replica.recipe.get("command", "[]")))
    kind = "release" if replica.release else "image"
    lines = [f"--- {replica.name}", f"+++ run on {engine.name}, {kind} {replica.version}"]
    lines += [f"~ {name}" for name in engine.runs.differences(wanted)]
    lines += [f"- {theirs}"] if theirs else []
    lines += [f"+ {shlex.join(wanted.command)}"]
    return "\n".join([*lines, f"+ time limit {plain(wanted.timeout)} s"] if wanted.timeout else lines)


def start_attached(engine: Engine, wanted: RunRequest, streams: tuple[int, int] = (0, 1)) -> int:
    """Begin the run, pass its streams until it ends, and return its exit code.

    `streams` are the file descriptors of its input and output; its errors go to our standard error.
    """
    make_networks(engine, wanted)
    runs = engine.runs
    code = terminal.attend(
        lambda: runs.start(wanted), wanted.id, interactive=wanted.interactive, tty=wanted.tty, streams=streams
    )
    runs.prune(KEPT)
    return code


def run_with_report(engine: Engine, wanted: RunRequest, say: Callable[[str], None]) -> tuple[int, str]:
    """Do a run without input, reporting each line that it prints; return its exit code and the line that tells most.

    Where that of one that failed is its last, it is not reported: it is for whoever is told of the failure.
    """
    session = engine.runs.start(wanted)
    done = _reported(session.output(), session.wait, say)
    engine.runs.prune(KEPT)
    return done


def follow_with_report(engine: Engine, identity: str, say: Callable[[str], None]) -> tuple[int, str]:
    """Report the output of a run that another process started until it exits, as `run_with_report` does."""
    runs = engine.runs
    return _reported(runs.output(identity, follow=True), lambda: wait_for_run(runs, identity), say)


def _reported(
    output: Iterable[tuple[int, bytes]], wait: Callable[[], int], say: Callable[[str], None]
) -> tuple[int, str]:
    lines: deque[str] = deque(maxlen=TOLD)
    for text in printed_lines(data for _, data in output):
        if lines:
            say(lines[-1])
        lines.append(text)
    code = wait()
    why = telling(lines)
    if lines and not (code and lines[-1].strip() == why):
        say(lines[-1])
    return code, why


def printed_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield what comes in pieces as lines, without those that are blank."""
    lines = (line[:-1].decode(errors="replace") for line in whole_lines(pieces))
    return (line for line in lines if line.strip())


def make_networks(engine: Engine, wanted: RunRequest) -> None:
    """Make the networks that a run is to be on, where it comes before the first `up`; no service is started."""
    if not wanted.replica.id:
        for resource in missing_resources(engine.stack, engine.observe()):
            if isinstance(resource, Network):
                engine.create_resource(resource)


def start_detached(engine: Engine, wanted: RunRequest) -> str:
    """Begin the run, leave it to itself, and return its id."""
    make_networks(engine, wanted)
    engine.runs.detach(wanted)
    engine.runs.prune(KEPT)
    return wanted.id
