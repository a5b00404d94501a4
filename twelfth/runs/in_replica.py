"""Execute a command in a running replica, as `docker compose exec` does: no run, and no record."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError, NotUpError
from twelfth.runs.terminal import BROKEN_PIPE, FORWARDED, end, pass_streams, raw_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.engines.contract import Engine, Session
    from twelfth.model.hook import Hook
    from twelfth.model.snapshot import Replica


def chosen(replicas: Iterable[Replica], service: str, number: int | None = None) -> Replica:
    """Return the running replica with a number, by default the first that gets requests; raises `NotUpError`."""
    running = [replica for replica in replicas if replica.is_running and number in {None, replica.number}]
    if not running:
        what = service if number is None else f"{service}-{number}"
        raise NotUpError(f"cannot execute in {what}: it is not running. Try: invoke ps --all")
    return min(running, key=lambda replica: (not replica.is_admitted, replica.number))


def execute(engine: Engine, replica: Replica, hook: Hook, *, tty: bool) -> int:
    """Execute a command with this process's streams, and return its exit code; 141 if its reader has exited."""
    session: Session | None = None
    early: list[int] = []

    def forward(number: int, _: object) -> None:
        if session:
            session.signal(number)
        elif early:
            raise KeyboardInterrupt
        else:
            early.append(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        session = engine.execute(replica, hook, tty=tty, interactive=True)
        for number in early:
            session.signal(number)
        with raw_terminal(session) if tty else contextlib.nullcontext():
            # Ctrl-P Ctrl-Q has no meaning here: there is no command that attaches again.
            ending = pass_streams(session, (0, 1), interactive=True, tty=False)
        if isinstance(ending, OSError):
            end(session)
        if isinstance(ending, BrokenPipeError):
            return BROKEN_PIPE
        if ending:
            raise ending
        return session.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refuse_without(command: Iterable[str]) -> None:
    """Raise `MisuseError` if no command was given."""
    if not tuple(command):
        raise MisuseError("cannot execute: no command was given. Try: invoke exec SERVICE COMMAND")
