"""Start a run with an input of this program, and capture its output or pass it on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from twelfth.engines.contract import STDOUT
from twelfth.runs import descriptors, terminal
from twelfth.runs.recording import prune, recorded
from twelfth.runs.start import prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from twelfth.engines.contract import Engine, Session
    from twelfth.model.run import RunRequest


def start_captured(
    engine: Engine, request: RunRequest, say: Callable[[str], None], stdin: bytes, *, passes: bool
) -> tuple[int, bytes, bytes]:
    """Start a run, and return its exit code, output and errors, which are empty if it `passes` them on."""
    request = prepared(engine, request, say)
    outputs: dict[int, list[bytes]] = {}
    with recorded(engine, request, say) as recording:

        def start() -> Session:
            recording.session = session = engine.runs.start(request, recording.ready)
            return session

        with terminal.forwarded_signals(start, request.id) as session:
            if request.interactive:
                threading.Thread(target=terminal.pump_input, args=(session, [stdin]), daemon=True).start()
            for stream, data in session.output():
                if passes:
                    descriptors.write(stream, data)
                else:
                    outputs.setdefault(stream, []).append(data)
            code = session.wait()
    prune(engine, request.id)
    errors = [piece for stream, pieces in outputs.items() if stream != STDOUT for piece in pieces]
    return code, b"".join(outputs.get(STDOUT, [])), b"".join(errors)
