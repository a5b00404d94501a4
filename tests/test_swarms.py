"""Swarms of a test's own leave nothing behind, even when the test is killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from tests import machines, swarms
from tests.conftest import ROOT, skip_or_fail
from tests.real_redis import eventually

TEST = """
import time
from tests import swarms
with swarms.swarm() as made:
    print(made.network.slot, flush=True)
    time.sleep(600)
"""


def processes(words: str) -> list[str]:
    """Return the command lines of this machine that have these words."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if words in line]


def test_swarm_ends_with_a_test_that_is_killed_and_the_next_one_removes_the_rest() -> None:
    """Its processes end at once; links, rules, control groups and the directory when the slot is taken again."""
    if why := swarms.why_unavailable():
        skip_or_fail("swarm", why)
    test = subprocess.Popen([sys.executable, "-c", TEST], cwd=ROOT, stdout=subprocess.PIPE)
    with test:
        assert test.stdout
        slot = int(test.stdout.readline())
        left = f"twelfth-machines-{slot}/"
        assert processes(left)
        test.kill()
    eventually(lambda: not processes(left), 10)
    with contextlib.ExitStack() as held:
        while held.enter_context(machines.network()).slot < slot:
            pass

    name = f"twelfth-{slot}"
    assert name not in machines.run("iptables", "--list-rules").split()
    assert not Path("/sys/class/net", name).exists()
    assert not [*Path("/sys/fs/cgroup").glob(f"*/{name}")]
    assert not [*machines.place(slot).glob("*")]
