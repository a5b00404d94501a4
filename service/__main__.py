"""Serve the counter over HTTP until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from twelfth_redis.settings import Settings

_STOPS = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Serve, and return the exit code: 0 after a stop, 1 without the port, 2 for misuse."""
    # First of all: the kernel drops a signal that process 1 has no handler for (pid_namespaces(7)).
    for stop in _STOPS:
        signal.signal(stop, lambda *_: sys.exit(0))
    options = _parser().parse_args()
    from service.middleware import read_replica  # noqa: PLC0415 - after the handlers
    from service.server import listen  # noqa: PLC0415
    from twelfth_redis.errors import SettingsError  # noqa: PLC0415
    from twelfth_redis.settings import read_settings  # noqa: PLC0415

    try:
        settings, replica = read_settings(os.environ), read_replica(os.environ)
        listener = listen(options.host, options.port)
    except SettingsError as error:
        return _refuse(str(error), 2)
    except OSError as error:
        return _refuse(f"cannot listen on {options.host} port {options.port}: {error.strerror or error}", 1)
    return _serve(settings, replica, listener, options.threads)


def _serve(settings: Settings, replica: str, listener: socket.socket, threads: int) -> int:
    from service.app import Liveness, create_app  # noqa: PLC0415 - after the handlers
    from service.counter import open_counter  # noqa: PLC0415
    from service.json_log import JsonLog, adopt_logging  # noqa: PLC0415
    from service.schema import MIGRATIONS  # noqa: PLC0415
    from service.server import Server  # noqa: PLC0415
    from twelfth_redis.schema.revisions import required  # noqa: PLC0415

    with contextlib.closing(JsonLog(_output(), replica)) as log:
        adopt_logging(log)
        counter, liveness = open_counter(settings), Liveness()
        app = create_app(counter, log, required(MIGRATIONS), liveness)
        server = Server(app, listener, threads, counter.hits)

        def stop(number: int, _frame: FrameType | None) -> None:
            server.stop()
            stops.append(signal.Signals(number).name)

        stops: list[str] = []
        for number in _STOPS:
            signal.signal(number, stop)
        host, port = server.address
        log.note("start", host=host, port=port, threads=threads, redis=settings.address)
        unfinished = server.run(liveness.leave)
        log.note("stop", signal=stops[0] if stops else None, unfinished=unfinished)
    return 0


def _output() -> int:
    """Return the descriptor of standard output; where it was closed at the start, that number is something else's."""
    return sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")  # noqa: S104 - a container's door
    parser.add_argument(
        "--port", default=8000, type=_within(0, 65535), help="port to listen on; 0: any (default: 8000)"
    )
    parser.add_argument("--threads", default=8, type=_within(1, 64), help="threads for all but hits (default: 8)")
    return parser


def _within(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a reader of integers from `lowest` to `highest`; argparse turns its error into misuse."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and lowest <= int(text[:9]) <= highest:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a number from {lowest} to {highest}, not {text[:40]!r}")

    return read


def _refuse(why: str, code: int) -> int:
    sys.stderr.write(f"service: {why}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
