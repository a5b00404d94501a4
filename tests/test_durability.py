"""What the product's own settings of Redis promise: a number that was handed out is on the disk."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.real_redis import RealRedis, declared_command, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 8
SYNC_SECONDS = 1
SLOW_DISK = f"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Slow while the file SLOW_DISK exists, which gets a byte as each sync begins. */
static int slowly(const char *name, int file) {{
    int log = open(getenv("SLOW_DISK"), O_WRONLY | O_APPEND);
    if (log >= 0 && write(log, ".", 1) == 1 && close(log) == 0)
        sleep({SYNC_SECONDS});
    return ((int (*)(int)) dlsym(RTLD_NEXT, name))(file);
}}

int fsync(int file) {{ return slowly("fsync", file); }}
int fdatasync(int file) {{ return slowly("fdatasync", file); }}
"""


class SlowDisk:
    """A library that a server loads first, and the file by which it learns whether the disk is slow just now."""

    def __init__(self, directory: Path) -> None:
        self._syncs, library = directory / "syncs", directory / "slow.so"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-", "-ldl"]
        subprocess.run(command, input=SLOW_DISK, text=True, check=True)
        self.environment = {"LD_PRELOAD": str(library), "SLOW_DISK": str(self._syncs)}

    def slow_down(self) -> None:
        """Let each sync take its time from now on."""
        self._syncs.touch()

    def recover(self) -> None:
        """Be quick again."""
        self._syncs.unlink()

    def has_begun(self, syncs: int) -> bool:
        """Return whether that number of syncs have started since the disk became slow."""
        return self._syncs.stat().st_size >= syncs


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> SlowDisk:
    """Give a disk that can be slow; skip where there is no way to make one."""
    if sys.platform != "linux" or not shutil.which("cc"):
        pytest.skip("a slow disk is made by a C compiler (cc) and LD_PRELOAD, on Linux")
    return SlowDisk(tmp_path_factory.mktemp("disk"))


@contextlib.contextmanager
def traffic_until_killed(server: RealRedis) -> Iterator[list[int]]:
    """Give the numbers that clients are handed out, which never ask twice; kill the server in the end."""
    answered: list[int] = []

    def hit() -> None:
        client = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        with contextlib.closing(client), contextlib.suppress(redis.ConnectionError):
            while True:
                answered.append(int(client.incr("hits")))

    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(CLIENTS):
            pool.submit(hit)
        try:
            yield answered
        finally:
            server.kill()


@pytest.mark.parametrize("engine", ["local", "docker"])
def test_no_number_comes_twice_after_redis_is_killed_on_a_slow_disk(
    engine: str, disk: SlowDisk, tmp_path: Path
) -> None:
    """It is killed inside of a sync, after one that took its time."""

    server = RealRedis(tmp_path, command=declared_command(engine), environment=disk.environment)
    with traffic_until_killed(server) as answered:
        eventually(lambda: answered)
        disk.slow_down()
        eventually(lambda: disk.has_begun(2))
        time.sleep(SYNC_SECONDS / 2)
    disk.recover()
    server.start()
    following = int(server.client.incr("hits"))
    server.kill()

    assert following > max(answered)
