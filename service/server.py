"""waitress around the application: the command line, the log, and a stop that loses no request."""

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime

import waitress  # type: ignore[import-untyped]

from service.app import App
from service.counter import open_counter
from service.schema import MIGRATIONS
from twelfth_redis.errors import SettingsError
from twelfth_redis.schema.revisions import required
from twelfth_redis.settings import read_settings

LAME_DUCK_SECONDS = 1.0  # a process that a proxy checks serves as before while its `/healthz` is 404: five checks
QUIET_SECONDS = 0.3  # without a request in flight before the exit; one that waits in a socket starts within that
DRAIN_SECONDS = 8.0  # the longest stop; docker-compose.yml grants 10 s
_LOG = logging.getLogger("service")


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"traceback": self.formatException(record.exc_info)} if record.exc_info else record.args
        line = {"time": moment, "event": record.getMessage(), **(fields if isinstance(fields, dict) else {})}
        return json.dumps(line)


def main() -> int:
    """Serve, and return the exit code: 0 after a signal, 1 if the port is taken, 2 for invalid settings."""
    parser = argparse.ArgumentParser(prog="python -m service", description="Serve the counter over HTTP.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")  # noqa: S104 - a container's
    parser.add_argument("--port", default=8000, type=int, help="port to listen on; 0: any (default: 8000)")
    parser.add_argument("--threads", default=8, type=int, help="requests at the same time (default: 8)")
    options = parser.parse_args()
    replica = os.environ.get("REPLICA") or socket.gethostname()
    if not (replica.isascii() and replica.isprintable()):  # it is sent in a header
        parser.error(f"REPLICA must be printable ASCII, not {replica[:40]!r}")
    try:
        app = App(open_counter(read_settings(os.environ)), required(MIGRATIONS), replica)
        listener = socket.create_server((options.host, options.port), backlog=1024)
    except (SettingsError, OverflowError) as error:
        parser.exit(2, f"service: {error}\n")
    except OSError as error:
        parser.exit(1, f"service: cannot listen: {error.strerror or error}\n")
    return _serve(app, listener, options.threads)


def _serve(app: App, listener: socket.socket, threads: int) -> int:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # no line for each request that waits for a thread
    server = waitress.create_server(
        app,
        sockets=[listener],
        threads=threads,
        connection_limit=1000,
        asyncore_use_poll=True,  # more than select() can watch
        max_request_header_size=16384,  # as HAProxy's
        max_request_body_size=65536,
        log_socket_errors=False,  # a client may disconnect
        ident=None,
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host, port = listener.getsockname()[:2]
    _LOG.info("start", {"replica": app.replica, "host": host, "port": port, "threads": threads})
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not stop.wait(1) and thread.is_alive():
        pass
    _LOG.info("stop", {"replica": app.replica, "unfinished": _drain(app)})
    return 0 if stop.is_set() else 1


def _drain(app: App) -> int:
    # Kept connections are not closed here, for which waitress has no interface, but by the proxy or load balancer.
    started = time.monotonic()
    time.sleep(LAME_DUCK_SECONDS if app.stop() else 0)
    while (now := time.monotonic()) < started + DRAIN_SECONDS:
        if not app.in_flight and now - max(started, app.last_finished) > QUIET_SECONDS:
            break
        time.sleep(0.01)
    return len(app.in_flight)
