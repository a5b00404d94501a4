"""The healthcheck: `python -m service.health [--port PORT]` prints the readiness as JSON.

It exits with 0 if the service is ready, or was ready once and is alive: marking every worker unhealthy does not bring
back a Redis that is away.
"""

import json
import os
import socket  # not http.client, which imports ssl and email: several times the work of a check
import sys

SECONDS = 2.0  # what one step of a response may take


def main(arguments: list[str]) -> int:
    """Print the readiness, and return the exit code: 0 or 1."""
    port = int(arguments[1]) if arguments[:1] == ["--port"] else 8000
    status, _, body = _get(port, "/readyz")
    try:
        readiness = dict(json.loads(body))
        if str(readiness.get("error")).startswith("Redis"):
            readiness["error"] = _reason() or readiness["error"]
    except (TypeError, ValueError):
        readiness = {} if status == b"200" else {"error": "it does not answer"}
    sys.stdout.write(f"{json.dumps(readiness)}\n")
    if status == b"200":
        return 0
    status, headers, _ = _get(port, "/healthz")
    return int(status != b"200" or b"x-was-ready: yes" not in headers.lower())


def _get(port: int, path: str) -> tuple[bytes, bytes, bytes]:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nAccept: application/json\r\n\r\n".encode())
            headers, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    except OSError:
        return b"", b"", b""
    return b"".join(headers.split()[1:2]), headers, body


def _reason() -> str:
    # In words that are for the operator: `/readyz` is for clients, too.
    from service.counter import NoIntegerError, open_counter  # noqa: PLC0415 - only if it is needed
    from twelfth_redis.errors import SettingsError, UnavailableError  # noqa: PLC0415
    from twelfth_redis.settings import read_settings  # noqa: PLC0415

    try:
        open_counter(read_settings(os.environ)).schema()
    except (SettingsError, UnavailableError, NoIntegerError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
