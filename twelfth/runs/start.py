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
"""Last lines of a failed run among which the reason is looked for."""

KEPT = 50
"""Records of ended runs that are kept."""


def describe(engine: Engine, request: RunRequest) -> str:
    """Return as a diff how the run would differ from what it is made from: the command, the rest by name only."""
    replica = request.replica
    command = shlex.join(json.loads(replica.recipe.get("command", "[]")))
    kind = "release" if replica.release else "image"
    lines = [f"--- {replica.name}", f"+++ run on {engine.name}, {kind} {replica.version}"]
    lines += [f"~ {name}" for name in engine.runs.differences(request)]
    lines += [f"- {command}"] if command else []
    lines += [f"+ {shlex.join(request.command)}"]
    return "\n".join([*lines, f"+ time limit {plain(request.timeout)} s"] if request.timeout else lines)


def start_attached(engine: Engine, request: RunRequest, streams: tuple[int, int] = (0, 1)) -> int:
    """Begin the run, pass its streams until it ends, and return its exit code.

    `streams` are the file descriptors of its input and output; its errors go to our standard error.
    """
    make_networks(engine, request)
    runs = engine.runs
    code = terminal.attend(
        lambda: runs.start(request), request.id, interactive=request.interactive, tty=request.tty, streams=streams
    )
    runs.prune(KEPT)
    return code


def run_with_report(engine: Engine, request: RunRequest, say: Callable[[str], None]) -> tuple[int, str]:
    """Do a run without input, reporting each line that it prints; return its exit code and the line that tells most.

    If the last line of a failed run is that line, it is not reported: the error contains it.
    """
    session = engine.runs.start(request)
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


def make_networks(engine: Engine, request: RunRequest) -> None:
    """Make the networks that a run is to be on, where it comes before the first `up`; no service is started."""
    if not request.replica.id:
        for resource in missing_resources(engine.stack, engine.observe()):
            if isinstance(resource, Network):
                engine.create_resource(resource)


def start_detached(engine: Engine, request: RunRequest) -> str:
    """Begin the run, leave it to itself, and return its id."""
    make_networks(engine, request)
    engine.runs.detach(request)
    engine.runs.prune(KEPT)
    return request.id
