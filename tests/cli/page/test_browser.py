"""The page in a real browser: Chromium, without a window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.page.pages import hostile_page, page, record
from tests.conftest import skip_or_fail
from twelfth.cli.page.document import document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
PHONE = 390
"""The width of a phone's screen, in pixels."""

FRAME = """<!doctype html><iframe src="page.html{anchor}" width={width} height=800></iframe><script>
addEventListener("message", (event) => {{ document.body.textContent = JSON.stringify(event.data); }});
</script>"""
ACTIONS = """<script>
addEventListener("load", () => setTimeout(() => {
  const shown = () => [...document.querySelectorAll(".day li:not([hidden]) .more")].map((more) => more.id);
  const form = document.querySelector("form"), { words, kind, lane, failed } = form.elements;
  const set = (change) => { form.reset(); change(); form.dispatchEvent(new Event("input")); return shown(); };
  const root = document.documentElement, result = {
    open: [...document.querySelectorAll("details[open] .more")].map((more) => more.id),
    overflow: root.scrollWidth - root.clientWidth,
    failed: set(() => { failed.checked = true; }),
    kind: set(() => { kind.value = "up"; }),
    lane: set(() => { lane.value = lane.options[lane.options.length - 1].value; }),
    words: set(() => { words.value = "LINE last"; }),
    none: set(() => { words.value = "no such word"; }),
    count: form.querySelector("output").textContent,
    days: document.querySelectorAll(".day:not([hidden])").length,
    faint: document.querySelectorAll(".faint").length,
    all: set(() => {}),
  };
  parent.postMessage(result, "*");
}, 200));
</script>"""
"""What a reader does, and what they see then."""

INJECTED = """<img src="{server}/img"><script src="{server}/js"></script><link rel="stylesheet" href="{server}/css">
<iframe src="{server}/frame"></iframe><object data="{server}/object"></object><video src="{server}/video"></video>
<div style="background: url({server}/background)">x</div><svg><use href="{server}/use#a"/></svg>
<script>fetch("{server}/fetch"); new Image().src = "{server}/image"; document.title = "executed"</script>
<img src=x onerror="document.title = 'executed'"><a ping="{server}/ping" href="#x">y</a>"""
"""What would be on a page if it were not escaped."""


@pytest.fixture(scope="module")
def chromium() -> str:
    """Return the program."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        skip_or_fail("chromium", "it is not installed")
    return str(program)


class Server(ThreadingHTTPServer):
    """A server that remembers what was requested."""

    def __init__(self) -> None:
        """Listen."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested: list[str] = []

    @property
    def address(self) -> str:
        """Return its URL."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers all requests."""

    def do_GET(self) -> None:
        """Remember the request."""
        assert isinstance(self.server, Server)
        self.server.requested.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a running server."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def browse(chromium: str, file: Path, *options: str, anchor: str = "") -> str:
    """Open a file, and return the DOM after its scripts have run."""
    profile = file.parent / "profile"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", f"--user-data-dir={profile}")
    output = options or ("--dump-dom",)
    command = [chromium, *flags, *output, f"{file.as_uri()}{anchor}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def seen(chromium: str, directory: Path, text: str, anchor: str = "") -> dict[str, Any]:
    """Return what a reader sees on a phone after the actions; the policy of the page allows this one script more."""
    allowed = re.sub("script-src '[^']*'", "script-src 'unsafe-inline'", text)
    (directory / "page.html").write_text(allowed.replace("</body>", f"{ACTIONS}</body>"), "utf-8")
    (directory / "frame.html").write_text(FRAME.format(width=PHONE, anchor=anchor), "utf-8")
    dom = browse(chromium, directory / "frame.html")
    message = re.search(r"<body>(\{.*\})</body>", dom)
    assert message, dom[-2000:]
    result: dict[str, Any] = json.loads(html.unescape(message[1]))
    return result


def test_page_can_be_filtered_on_a_phone(chromium: str, tmp_path: Path) -> None:
    """By words, also of the output, by kind, job and outcome; a link opens the record, and nothing is wider."""
    runs = record(1, job="a", has_output=True), record(30, job="b", state="failed"), record(2, job="c")
    change = record(3, kind="up", command=(), error="x" * 500)
    newest_first = [runs[0].id, runs[2].id, change.id, runs[1].id]
    text = document(page(*runs, change, outputs={runs[0].id: b"last\nline " + b"y" * 999}))

    assert {
        "open": [runs[1].id],
        "overflow": 0,
        "failed": [runs[1].id],
        "kind": [change.id],
        "lane": [change.id],
        "words": [runs[0].id],
        "none": [],
        "count": "0 of 4",
        "days": 0,
        "faint": 4,
        "all": newest_first,
    } == seen(chromium, tmp_path, text, f"#{runs[1].id}")


def test_hostile_text_is_not_wider_than_a_phone(chromium: str, tmp_path: Path) -> None:
    """Long lines are wrapped; nothing is executed."""
    hostile = hostile_page()
    result = seen(chromium, tmp_path, document(hostile), f"#{hostile.records[0].id}")

    assert 0 == result["overflow"]
    assert [hostile.records[0].id] == result["open"] == result["words"]


def test_nothing_is_requested_even_if_text_were_not_escaped(chromium: str, tmp_path: Path, server: Server) -> None:
    """The Content-Security-Policy of the page blocks it, too."""
    file = tmp_path / "page.html"
    text = document(page(record()))
    injected = text.replace("</main>", f"{INJECTED.format(server=server.address)}</main>")
    file.write_text(injected, "utf-8")
    dom = browse(chromium, file)
    blocked = list(server.requested)
    file.write_text(re.sub('<meta http-equiv="Content-Security-Policy".*?>', "", injected), "utf-8")
    browse(chromium, file)

    assert [] == blocked
    assert "<title>shop: runs and changes</title>" in dom
    assert {"/img", "/js", "/css", "/fetch"} <= set(server.requested)  # else the test proves nothing


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_picture_of_the_page(chromium: str, tmp_path: Path, scheme: str) -> None:
    """It is not empty, and dark where the reader prefers that."""
    file, picture = tmp_path / "page.html", tmp_path / "page.png"
    file.write_text(document(page(record(1), record(2, state="failed"))), "utf-8")
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    browse(chromium, file, "--window-size=800,600", *dark, f"--screenshot={picture}")
    background, rows = read(picture)

    assert rows > 50
    assert (sum(background) < 200) == (scheme == "dark")


def read(picture: Path) -> tuple[bytes, int]:
    """Return the colour of a PNG's first pixel, and how many different rows it has, as they are filtered."""
    content = picture.read_bytes()
    width, channels = int.from_bytes(content[16:20]), {2: 3, 6: 4}[content[25]]
    chunks, start = b"", 8
    while start < len(content):
        size = int.from_bytes(content[start : start + 4])
        if content[start + 4 : start + 8] == b"IDAT":
            chunks += content[start + 8 : start + 8 + size]
        start += size + 12
    pixels, length = zlib.decompress(chunks), width * channels + 1
    return pixels[1:4], len({pixels[at : at + length] for at in range(0, len(pixels), length)})
