"""The healthcheck of the service: `python -m service.health [--port PORT]`.

It prints what the service says of its readiness, as JSON, and exits with 0 where it is ready, or was ready once and
lives. For ready is asked once and alive for ever: a check that went on asking for Redis would have every worker called
ill, or killed, when Redis is away for a moment, though the worker's own answer (503) is the better one.

It runs every few seconds beside the service, on the same processor, so it speaks HTTP by itself: http.client would
import ssl and email, several times the work of the question.
"""

import json
import os
import socket
import sys

PORT = 8000
SECONDS = 2.0
"""What no step of an answer may take longer than."""
WAS_READY = b"x-was-ready: yes"
"""What `/healthz` says, in its headers, of a process that was ready once."""


def main(arguments: list[str]) -> int:
    """Print how ready the service is, and return the exit code: 0 or 1."""
    port = int(arguments[1]) if arguments[:1] == ["--port"] else PORT
    status, _, body = ask(port, "/readyz")
    if status == b"200":
        sys.stdout.write(f"{body}\n")
        return 0
    answer = _json_object(body)
    sys.stdout.write(f"{json.dumps(answer | {'error': _reason(answer)})}\n")
    status, headers, _ = ask(port, "/healthz")
    return int(not (status == b"200" and WAS_READY in headers.lower()))


def ask(port: int, path: str) -> tuple[bytes, bytes, str]:
    """Return status, headers and body of what 127.0.0.1:`port` answers, empty ones where it does not."""
    question = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            connection.sendall(question.encode())
            headers, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    except OSError:
        return b"", b"", ""
    return b"".join(headers.split()[1:2]), headers, body.decode(errors="replace")


def _json_object(body: str) -> dict[str, object]:
    """Return the JSON object that a body is, an empty one for anything else."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _reason(answer: dict[str, object]) -> str:
    """Return why the service is not ready, in words that are the operator's business and not every visitor's."""
    if not answer or answer.get("pending"):
        return str(answer.get("error") or "it does not answer")
    from service.counter import NoIntegerError, open_counter  # noqa: PLC0415 - only where it is needed
    from twelfth_redis.errors import SettingsError, UnavailableError  # noqa: PLC0415
    from twelfth_redis.settings import read_settings  # noqa: PLC0415

    try:
        open_counter(read_settings(os.environ)).schema()
    except (SettingsError, UnavailableError, NoIntegerError) as error:
        return str(error)
    return str(answer.get("error") or "it was not ready a moment ago")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
