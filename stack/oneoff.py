"""Run one admin process from what serves: choose the worker, order the run, pass its streams, return its exit code."""

from __future__ import annotations

import getpass
import json
import secrets
import shlex
from typing import TYPE_CHECKING

from stack import terminal
from stack.errors import IdentityError, MisuseError, NotUpError
from stack.model import Order, Running, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from stack.engines.base import Engine, Runs
    from stack.model import Pairs, Run, Service, Stack

KEPT = 50
"""How many records of ended runs are kept."""

LONGEST = 10 * 365 * 86400
"""Seconds that no time limit needs to exceed: ten years."""


def source(engine: Engine, release: str = "") -> Running:
    """Return what a run is made from: a running worker, or where none runs the built release that is named.

    Raises `NotUpError` where no worker runs and no release is named, and `IdentityError` where workers of different
    releases run and none is named, or those of one release are not made alike.
    """
    service = built(engine.stack).name
    found = sorted(engine.replicas(service), key=lambda each: each.number)
    running = [each for each in found if each.is_running and release in ("", each.release)]
    if release and not running:
        return from_release(engine.stack, release)
    if not running:
        raise NotUpError(f"no {service} is running to make the run from; try: invoke up")
    if len({each.release or each.image for each in running}) > 1:
        names = ", ".join(f"{each.name} is {each.release or each.image}" for each in running)
        raise IdentityError(f"the workers disagree about the release: {names}; choose: --release ID")
    _refuse_unlike(running)
    return running[0]


def _refuse_unlike(running: Sequence[Running]) -> None:
    """Raise `IdentityError` where replicas of one release differ, as an `up` that was not finished leaves them."""
    first, *others = running
    for other in others:
        if unlike := differences(first.recipe, other.recipe):
            names = ", ".join(unlike)
            raise IdentityError(f"{first.name} and {other.name} differ in {names}; finish it: invoke up")


def from_release(stack: Stack, release: str = "") -> Running:
    """Return what a worker of a built release would be, where none needs to run: the stack's own configuration."""
    service = built(stack)
    release = release or service.image.rpartition(":")[2]
    return Running(service.name, 0, "", "not running", {}, release=release, image=service.image)


def built(stack: Stack) -> Service:
    """Return the service that the stack builds: its release is what runs are made from."""
    service = next((each for each in stack.services if each.build), None)
    if service is None:
        raise MisuseError("no service is built, so there is no release to run from; give one a build")
    return service


def command(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words as a command; raises `MisuseError` where there are none."""
    if not words:
        raise MisuseError("no command; say what to run: invoke run -- COMMAND ARG…")
    return tuple(words)


def order(command: Sequence[str], replica: Running, **asked: object) -> Order:
    """Return an order for the command, with a fresh id and this operator's name."""
    return Order(id=secrets.token_hex(4), command=tuple(command), replica=replica, operator=operator(), **asked)  # type: ignore[arg-type]


def operator() -> str:
    """Return who is at the keyboard, as the system tells it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def overrides(pairs: Iterable[str], environment: Mapping[str, str]) -> Pairs:
    """Return `NAME=VALUE` words as pairs; a bare `NAME` has its value in the environment, as `docker run --env` has it.

    A secret then is on no command line. Raises `MisuseError` for a word that is neither, and never shows one: it may
    be a value whose name was forgotten.
    """
    found = []
    for number, pair in enumerate(pairs, 1):
        name, mark, value = pair.partition("=")
        if not name or not (mark or name in environment):
            why = f"--env number {number} is not NAME=VALUE, nor the name of a variable that is set here"
            raise MisuseError(f"{why}; say for example --env LEVEL=debug")
        found.append((name, value if mark else environment[name]))
    return tuple(found)


def seconds(text: str) -> float | None:
    """Return a time limit in seconds, None for none; raises `MisuseError` for one that is no positive number."""
    if not text:
        return None
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < LONGEST:
        raise MisuseError(f"--timeout {text}: say seconds, more than 0, such as --timeout 30")
    return limit


def dry(engine: Engine, wanted: Order) -> str:
    """Return as a diff how the run would differ from what it is made from: the command, the rest by name only."""
    replica = wanted.replica
    theirs = shlex.join(json.loads(replica.recipe.get("command", "[]")))
    lines = [f"--- {replica.name}", f"+++ run on {engine.name}, release {replica.release or replica.image}"]
    lines += [f"~ {name}" for name in engine.runs.unlike(wanted)]
    lines += [f"- {theirs}"] if theirs else []
    lines += [f"+ {shlex.join(wanted.command)}"]
    return "\n".join([*lines, f"+ time limit {wanted.timeout:g} s"] if wanted.timeout else lines)


def terminal_wanted(*, tty: bool, no_tty: bool, detach: bool, there_is_one: bool) -> bool:
    """Return whether the run gets a terminal; raises `MisuseError` where one is asked for that cannot be."""
    if tty and (no_tty or detach or not there_is_one):
        why = "--no-tty" if no_tty else "--detach" if detach else "no terminal here: standard input or output is none"
        raise MisuseError(f"--tty does not go with {why}; try it without --tty")
    return there_is_one and not no_tty and not detach


def run(engine: Engine, wanted: Order, streams: tuple[int, int] = (0, 1)) -> int:
    """Begin the run, pass its streams until it ends, and return its exit code.

    `streams` are the file descriptors of its input and output; its errors go to our standard error.
    """
    make_networks(engine, wanted)
    runs = engine.runs
    code = terminal.attend(
        lambda: runs.begin(wanted), wanted.id, interactive=wanted.interactive, tty=wanted.tty, streams=streams
    )
    runs.make_room(KEPT)
    return code


def told(engine: Engine, wanted: Order, say: Callable[[str], None]) -> tuple[int, str]:
    """Do a run without input, telling each line that it prints; return its exit code and its last line."""
    session = engine.runs.begin(wanted)
    lines = terminal.Lines(say)
    for _, data in session.output():
        lines.feed(data)
    code = session.wait()
    engine.runs.make_room(KEPT)
    return code, lines.end()


def make_networks(engine: Engine, wanted: Order) -> None:
    """Make the networks that a run is to be on, where it comes before the first `up`; no service is started."""
    if not wanted.replica.id:
        there = {network.name for network in engine.observe().networks}
        for network in engine.stack.networks:
            if network.name not in there:
                engine.provide(network)


def detach(engine: Engine, wanted: Order) -> str:
    """Begin the run, leave it to itself, and return its id."""
    make_networks(engine, wanted)
    engine.runs.detach(wanted)
    engine.runs.make_room(KEPT)
    return wanted.id


def chosen(runs: Runs, prefix: str) -> Run:
    """Return the run whose id begins so; raises `MisuseError` where none or more than one does."""
    found = [each for each in runs.records() if each.id.startswith(prefix)]
    if len(found) == 1 and prefix:
        return found[0]
    if not found or not prefix:
        raise MisuseError(f"no run {prefix or 'is named'}; see: invoke history")
    raise MisuseError(f"{prefix} is short for {', '.join(each.id for each in found)}; say which")


def stop(runs: Runs, prefix: str, say: Callable[[str], None]) -> Run:
    """End a run and return its record; say what is waited for. Raises `MisuseError` for one that has ended already."""
    wanted = chosen(runs, prefix)
    if not wanted.is_running:
        how = f"{wanted.state}, exit code {wanted.exit_code}"
        raise MisuseError(f"run {wanted.id} has ended ({how}); see: invoke history")
    runs.stop(wanted.id, say)
    return chosen(runs, wanted.id)


def printed(runs: Runs, prefix: str, *, follow: bool) -> None:
    """Write what a run printed to our own two outputs."""
    for stream, data in runs.printed(chosen(runs, prefix).id, follow=follow):
        terminal.write(stream, data)
