"""The healthcheck, of this service and of an app that replaces it."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING

import pytest

from service import health

if TYPE_CHECKING:
    from collections.abc import Callable

    Serve = Callable[[int, bytes], int]


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Serve:
    """Return what starts a server that answers every request alike, and returns its port."""

    def start(status: int, body: bytes) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        request.addfinalizer(server.server_close)
        request.addfinalizer(server.shutdown)
        return server.server_port

    return start


@pytest.mark.parametrize(
    ("status", "body", "code", "printed"),
    [
        (200, b'{"ready": true}', 0, {"ready": True}),
        (200, b"", 0, {}),
        (200, b"ready", 0, {}),
        (503, b'{"error": "The data lacks revision 0001"}', 1, {"error": "The data lacks revision 0001"}),
        (503, b"", 1, {"error": "it does not answer"}),
    ],
)
def test_status_decides_and_json_is_optional(
    serve: Serve, capsys: pytest.CaptureFixture[str], status: int, body: bytes, code: int, printed: dict[str, object]
) -> None:
    """`up` takes an `error` in the output for the reason why a service is not ready."""
    port = serve(status, body)

    assert code == health.main(["--port", str(port)])
    assert printed == json.loads(capsys.readouterr().out)
