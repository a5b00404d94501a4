"""Read what a daemon streams while it builds or pulls an image."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from twelfth.engines.docker.errors import LENGTH, advice, one_line
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twelfth.engines.docker.replica import Body

WIDEST = 100
"""Characters of a step or of a change that are shown."""

LAST_LINES = 10
"""Lines that are shown of what a failed step printed."""

_STEP = re.compile(r"Step ([0-9]+/[0-9]+) :")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OF_THE_BUILDER = re.compile(r" ---> |Removing intermediate container ")


def lines(stream: Iterable[Body], failed: str) -> Iterator[str]:
    """Yield the steps of a build or the changes of a pull, each once.

    Where it fails, yield the last lines that the step printed, then raise `EngineError`, which begins with `failed`.
    """
    shown, step, printed = "", "", deque[str](maxlen=1000)
    for event in stream:
        text = event.get("stream") or event.get("status") or ""
        if "error" in event:
            last = _last_lines("".join(printed)) if event.get("errorDetail", {}).get("code") else ()
            yield from last
            raise EngineError(f"{failed}: {_why(event, step, last)}; {advice(event['error'])}")
        if found := _STEP.match(text):
            step = found[1]
            printed.clear()
        elif "stream" in event and not _OF_THE_BUILDER.match(text):
            printed.append(text)
        line = text.strip()
        if line != shown and (found or "status" in event):
            shown = line
            yield " ".join(line.split())[:WIDEST]


def _last_lines(printed: str) -> tuple[str, ...]:
    """Return how an output ends, without blank lines and colours (the daemon reddens standard error)."""
    whole = (line.rstrip()[:LENGTH] for line in _COLOUR.sub("", printed).splitlines())
    return tuple(line for line in whole if line)[-LAST_LINES:]


def _why(event: Body, step: str, last: tuple[str, ...]) -> str:
    """Return what a failed step said last; where it said nothing, or did not run, what the daemon says."""
    if last:
        return f"{one_line(last[-1])} (step {step}, exit code {event['errorDetail']['code']})"
    return one_line(event["error"])
