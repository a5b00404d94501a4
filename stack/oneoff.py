"""Run one admin process from what serves: choose the worker, order the run, pass its streams, return its exit code."""

from __future__ import annotations

import getpass
import json
import secrets
import shlex
from typing import TYPE_CHECKING

from stack import terminal
from stack.errors import IdentityError, MisuseError, NotUpError
from stack.model import Order, Running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stack.engines.base import Engine, Runs
    from stack.model import Pairs, Run, Service, Stack

KEPT = 50
"""How many records of ended runs are kept."""

LONGEST = 10 * 365 * 86400
"""Seconds that no time limit needs to exceed: ten years."""


def source(engine: Engine, release: str = "") -> Running:
    """Return what a run is made from: a running worker, or where none runs the built release that is named.

    Raises `NotUpError` where no worker runs and no release is named, and `IdentityError` where workers of different
    releases run and none is named.
    """
    service = built(engine.stack).name
    running = [each for each in engine.replicas(service) if each.is_running]
    if release:
        return next((each for each in running if each.release == release), from_release(engine.stack, release))
    if not running:
        raise NotUpError(f"no {service} is running to make the run from; try: invoke up")
    if len({each.release or each.image for each in running}) > 1:
        names = ", ".join(f"{each.name} is {each.release or each.image}" for each in running)
        raise IdentityError(f"the workers disagree about the release: {names}; choose: --release ID")
    return running[0]


def from_release(stack: Stack, release: str = "") -> Running:
    """Return what a worker of a built release would be, where none needs to run: the stack's own configuration."""
    service = built(stack)
    release = release or service.image.rpartition(":")[2]
    return Running(service.name, 0, "", "not running", {}, release=release, image=service.image)


def built(stack: Stack) -> Service:
    """Return the service that the stack builds: its release is what runs are made from."""
    service = next((each for each in stack.services if each.build), None)
    if service is None:
        raise MisuseError("docker-compose.yml builds no service, so there is no release to run from; give one a build")
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


def overrides(pairs: Iterable[str]) -> Pairs:
    """Return `NAME=VALUE` words as pairs; raises `MisuseError` for one that is not such, and never shows a value."""
    split = [pair.partition("=") for pair in pairs]
    for number, (name, mark, _) in enumerate(split, 1):
        if not mark or not name:
            raise MisuseError(f"--env number {number} is not NAME=VALUE; say for example --env LEVEL=debug")
    return tuple((name, value) for name, _, value in split)


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
    session = engine.runs.begin(wanted)
    code = terminal.attend(session, interactive=wanted.interactive, tty=wanted.tty, streams=streams)
    engine.runs.make_room(KEPT)
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


def stop(runs: Runs, prefix: str) -> Run:
    """End a run and return its record; raises `MisuseError` for one that has ended already."""
    wanted = chosen(runs, prefix)
    if not wanted.is_running:
        how = f"{wanted.state}, exit code {wanted.exit_code}"
        raise MisuseError(f"run {wanted.id} has ended ({how}); see: invoke history")
    runs.stop(wanted.id)
    return chosen(runs, wanted.id)


def printed(runs: Runs, prefix: str, *, follow: bool) -> None:
    """Write what a run printed to our own two outputs."""
    for stream, data in runs.printed(chosen(runs, prefix).id, follow=follow):
        terminal.write(stream, data)
