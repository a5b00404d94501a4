"""Start a run, attached or detached, or show how it would differ from its source."""

from __future__ import annotations

import json
import shlex
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.engines.lines import telling, whole_lines
from twelfth.errors import NotUpError
from twelfth.model.duration import plain
from twelfth.model.snapshot import missing_resources
from twelfth.model.stack import Network
from twelfth.runs import terminal
from twelfth.runs.concurrency import in_turn
from twelfth.runs.manage import wait_for_run
from twelfth.runs.recording import prune, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twelfth.engines.contract import Engine, Session
    from twelfth.model.run import RunRequest
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Replica


SEARCHED = 20
"""Last lines of a failed run in which the reason is searched for."""


def describe(engine: Engine, request: RunRequest) -> str:
    """Return a diff of the replica and the run that would be made from it; all but the command by name only."""
    replica = request.replica
    command = shlex.join(json.loads(replica.recipe.get("command", "[]")))
    kind = "release" if replica.release else "image"
    lines = [f"--- {replica.name}", f"+++ run on {engine.name}, {kind} {replica.version}"]
    lines += [f"~ {name}" for name in engine.runs.differences(request)]
    lines += [f"- {command}"] if command else []
    lines += [f"+ {shlex.join(request.command)}"]
    lines += [f"+ time limit {plain(request.timeout)} s"] if request.timeout else []
    return "\n".join([*lines, *_ignored(engine, request)])


def _ignored(engine: Engine, request: RunRequest) -> list[str]:
    names = engine.runs.ignored(request)
    return [f"not applied on {engine.name}: {', '.join(names)}"] if names else []


def _warn_of_ignored(engine: Engine, request: RunRequest, say: Callable[[str], None]) -> None:
    for line in _ignored(engine, request):
        say(line)


def prepared(engine: Engine, request: RunRequest, say: Callable[[str], None]) -> RunRequest:
    """Create missing networks, warn of what the engine ignores, and set when the end of the run is reported."""
    make_networks(engine, request)
    _warn_of_ignored(engine, request, say)
    return replace(request, notify=engine.stack.notify_on(request.job))


def start_attached(
    engine: Engine,
    request: RunRequest,
    say: Callable[[str], None],
    streams: tuple[int, int] = (0, 1),
    source: Callable[[], Replica] | None = None,
) -> int:
    """Start a run, pass its streams until it exits, and return its exit code.

    `streams` are the file descriptors of its input and output; its errors go to standard error. `say` is called with
    each warning. `source` chooses the replica again after the run has waited for another one.
    """
    request = prepared(engine, request, say)
    return in_turn(engine, request, say, lambda current: _start_attached(engine, current, say, streams), source)


def _start_attached(engine: Engine, request: RunRequest, say: Callable[[str], None], streams: tuple[int, int]) -> int:
    with recorded(engine, request, say) as recording, ThreadPoolExecutor(1) as pool:

        def start() -> Session:
            recording.session = session = engine.runs.start(request, recording.ready)
            pool.submit(prune, engine, request.id)  # while the run is running, so that its client exits sooner
            return session

        return terminal.attend(start, request.id, interactive=request.interactive, tty=request.tty, streams=streams)


def run_with_report(engine: Engine, request: RunRequest, say: Callable[[str], None]) -> tuple[int, str]:
    """Start a run without input, report each line that it prints, and return its exit code and the reason it printed.

    The reason is one of its last lines. If it is the very last line of a failed run, it is not reported: the error
    contains it.
    """
    _warn_of_ignored(engine, request, say)
    with recorded(engine, request, say) as recording:
        recording.session = session = engine.runs.start(request, recording.ready)
        done = _reported(session.output(), session.wait, say)
    prune(engine, request.id)
    return done


def follow_with_report(engine: Engine, identity: str, say: Callable[[str], None]) -> tuple[int, str]:
    """Report the output of a run that another process started until it exits, as `run_with_report` does."""
    return _reported(engine.runs.output(identity, follow=True), lambda: wait_for_run(engine, identity), say)


def _reported(
    output: Iterable[tuple[int, bytes]], wait: Callable[[], int], say: Callable[[str], None]
) -> tuple[int, str]:
    lines: deque[str] = deque(maxlen=SEARCHED)
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
    """Yield the lines of an output that arrives in pieces, without blank lines."""
    lines = (line[:-1].decode(errors="replace") for line in whole_lines(pieces))
    return (line for line in lines if line.strip())


def make_networks(engine: Engine, request: RunRequest) -> None:
    """Create missing networks for a run that is not made from a running replica, as before the first `up`.

    Raises `NotUpError` if a network or volume is missing that a job or hook declares.
    """
    if request.changes:
        _refuse_missing(engine, request.changes.container)
    if not request.replica.id:
        for resource in missing_resources(engine.stack, engine.observe()):
            if isinstance(resource, Network):
                engine.create_resource(resource)


def _refuse_missing(engine: Engine, container: Service) -> None:
    volumes = {mount.source for mount in container.mounts if mount.kind == "volume"}
    names = {("network", name) for name in container.networks} | {("volume", name) for name in volumes}
    missing = missing_resources(engine.stack, engine.observe()) if names else ()
    if resource := next((resource for resource in missing if (resource.kind, resource.name) in names), None):
        raise NotUpError(f"cannot run {container.name}: the {resource.kind} {resource.name} is missing. Try: invoke up")


def start_detached(
    engine: Engine,
    request: RunRequest,
    say: Callable[[str], None],
    source: Callable[[], Replica] | None = None,
) -> str:
    """Start a run in the background and return its id; `source` is that of `start_attached`."""
    request = prepared(engine, request, say)
    in_turn(engine, request, say, lambda current: _start_detached(engine, current, say), source)
    prune(engine, request.id)
    return request.id


def _start_detached(engine: Engine, request: RunRequest, say: Callable[[str], None]) -> None:
    with recorded(engine, request, say) as recording:
        engine.runs.detach(request, recording.ready)
