"""Read a daemon's stream of progress while it builds or pulls an image."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from twelfth.engines.docker_api.errors import LENGTH, advice, one_line
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twelfth.engines.docker_api.container_spec import Body

WIDEST = 100
"""Characters of a step that are shown."""

LAST_LINES = 10
"""Lines of a failed step's output that are shown."""

_STEP = re.compile(r"Step ([0-9]+/[0-9]+) :")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OF_THE_BUILDER = re.compile(r" ---> |Removing intermediate container ")


def lines(stream: Iterable[Body], failed: str) -> Iterator[str]:
    """Yield the steps of a build or the changes of a pull, each once.

    If it fails, yield the last lines of the step's output, then raise `EngineError`, which starts with `failed`.
    """
    shown, step, printed = "", "", deque[str](maxlen=1000)
    for event in stream:
        text = event.get("stream") or event.get("status") or ""
        if "error" in event:
            code = event.get("errorDetail", {}).get("code")
            last = _last_lines("".join(printed)) if code else ()
            yield from last
            raise failure(failed, (last or (event["error"],))[-1], (step, code) if last else None, event["error"])
        if match := _STEP.match(text):
            step = match[1]
            printed.clear()
        elif "stream" in event and not _OF_THE_BUILDER.match(text):
            printed.append(text)
        line = text.strip()
        if line != shown and (match or "status" in event):
            shown = line
            yield one_line(line, WIDEST)


def _last_lines(printed: str) -> tuple[str, ...]:
    """Return the last lines of an output, without blank lines and colours (the daemon colours standard error)."""
    lines = (line.rstrip()[:LENGTH] for line in _COLOUR.sub("", printed).splitlines())
    return tuple(line for line in lines if line)[-LAST_LINES:]


def failure(failed: str, why: str, at: tuple[str, object] | None, error: str) -> EngineError:
    """Return the error of a build, which starts with `failed` and ends with a hint for the builder's `error`.

    `at` is the failed step and its exit code; None if no step was running.
    """
    where = f" (step {at[0]}, exit code {at[1]})" if at else ""
    return EngineError(f"{failed}: {one_line(why)}{where}; {advice(error)}")
