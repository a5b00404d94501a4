"""A service behind the generated proxy, and behind those of docs/proxy.md, deployed and scaled under load."""

from __future__ import annotations

import contextlib
import re
import threading
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, require
from tests.other_project import OtherProject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.measures, pytest.mark.thorough]

APP = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.2)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""

FILE = """
services:
  app:
    image: ${PYTHON_IMAGE:-python:3.13-slim}
    command: [python, /app.py, "${RELEASE-1}"]
    init: true
    ports: ["127.0.0.1:${PORT}:8000"]
    deploy: {update_config: {monitor: 200ms}}
    volumes: ["./app.py:/app.py:ro"]
    healthcheck:
      test: [CMD, python, -c, "import socket; socket.create_connection(('127.0.0.1', 8000))"]
      interval: 1s
      start_period: 20s
      start_interval: 200ms
"""

PROXY = """
x-twelfth: {proxy: {service: app, port: 8000, image: "${WEB_IMAGE:-haproxy:3.0-alpine}"}}
"""


FINISHES_REQUESTS = """
import signal, threading
class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = False, 128
server = Server(("", 8000), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.1)
server.server_close()
"""

OTHER_PROXY = """
  web:
    build: {context: web, args: {DEBIAN_IMAGE: "${PYTHON_IMAGE:-python:3.13-slim}"}}
    command: COMMAND
    ports: ["127.0.0.1:${PORT}:80"]
    volumes: ["./page.conf:/page.conf:ro"]
    depends_on: [app]
x-twelfth: {runs-from: app}
"""

DOCKERFILE = """
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light caddy
RUN ln -sf /page.conf /etc/nginx/sites-enabled/default
"""

COMMANDS = {
    "nginx": '[nginx, -g, "daemon off;"]',
    "Caddy": "[caddy, run, --adapter, caddyfile, --config, /page.conf]",
}


def configuration(proxy: str) -> str:
    """Return the configuration that the page has for a proxy."""
    page = (ROOT / "docs" / "proxy.md").read_text("utf-8")
    return re.split("```.*\n", page.split(f"### {proxy}\n")[1])[1]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OtherProject]:
    """Return the project, up behind the proxy."""
    require("docker")
    site = OtherProject(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "compose.yaml").write_text(FILE + PROXY)
    try:
        site.printed("up")
        yield site
    finally:
        site.printed("down", "--volumes", "--history", "--yes")


def answer(port: int) -> str:
    """Return "" if a request is answered, else the error."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as response:
            return "" if response.read() == b"ok" else "another answer"
    except OSError as error:
        return str(error)


@contextlib.contextmanager
def load(port: int, clients: int = 8) -> Iterator[list[str]]:
    """Send requests inside the block, and note the error of each, "" if it was answered."""
    errors, is_over = list[str](), threading.Event()

    def send() -> None:
        while not is_over.is_set():
            errors.append(answer(port))

    senders = [threading.Thread(target=send) for _ in range(clients)]
    for sender in senders:
        sender.start()
    try:
        yield errors
    finally:
        is_over.set()
        for sender in senders:
            sender.join()


def test_deploys_and_scaling_lose_no_request_and_the_port_is_given_back(site: OtherProject) -> None:
    """The app exits at SIGTERM at once, so a request that is not waited for would fail."""
    with load(site.port) as errors:
        output = "".join(site.printed("up", RELEASE=release) for release in ("2", "3", "4"))
        output += site.printed("scale", "app=3", RELEASE="4") + site.printed("scale", "app=1", RELEASE="4")
    assert "Replace app" not in output
    assert "did not" not in output
    assert len(errors) > 100
    assert not [error for error in errors if error]

    (site.directory / "compose.yaml").write_text(FILE)
    site.printed("up", RELEASE="4")
    containers = site.api.containers(filters={"label": f"com.docker.compose.project={site.name}"})
    assert [f"/{site.name}-app-1"] == [name for container in containers for name in container["Names"]]
    assert not answer(site.port)


@pytest.mark.parametrize("proxy", COMMANDS)
def test_deploys_behind_a_proxy_of_the_page_lose_no_request(tmp_path: Path, proxy: str) -> None:
    """The app finishes its requests after SIGTERM, as the page requires."""
    require("docker")
    site = OtherProject(tmp_path)
    app = FILE.replace('    ports: ["127.0.0.1:${PORT}:8000"]\n', "").replace("monitor: 200ms", "monitor: 2s")
    (tmp_path / "app.py").write_text(APP.rpartition("http.server.Threading")[0] + FINISHES_REQUESTS)
    (tmp_path / "compose.yaml").write_text(app + OTHER_PROXY.replace("COMMAND", COMMANDS[proxy]))
    (tmp_path / "page.conf").write_text(configuration(proxy))
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").write_text(DOCKERFILE)
    try:
        site.printed("up")
        with load(site.port) as errors:
            for release in ("2", "3"):
                site.printed("up", RELEASE=release)
            site.printed("scale", "app=2", RELEASE="3")
            site.printed("scale", "app=1", RELEASE="3")
        assert len(errors) > 100
        assert not [error for error in errors if error]
    finally:
        site.printed("down", "--volumes", "--history", "--yes")
        site.printed("prune", "--keep", "0")
