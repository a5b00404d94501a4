"""The container's healthcheck: exit 0 when the process in here answers GET /healthz, else 1.

It runs every few seconds beside the service, on the same processor, so it speaks HTTP by itself: http.client would
import ssl and email, several times the work of the question.
"""

from __future__ import annotations

import socket
import sys

_QUESTION = b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"


def healthy(port: int = 8000, seconds: float = 2.0) -> bool:
    """Tell whether 127.0.0.1:`port` answers 200, no step of it taking longer than `seconds`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as asked:
            asked.sendall(_QUESTION)
            status = asked.makefile("rb").readline(64).split()
    except OSError:
        return False
    return status[1:2] == [b"200"]


if __name__ == "__main__":
    sys.exit(not healthy())
