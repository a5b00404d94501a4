"""A build context with files of every kind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

IS_ROOT = os.geteuid() == 0
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""What a program has that may listen on low ports."""

OF_NAMESPACE = bytes.fromhex("010000030004000000000000000000000000000010270000")
"""The same, for the root of a user namespace alone."""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a context with files and directories of every kind."""
    context = tmp_path / "context"
    (context / "d" / "empty").mkdir(parents=True)
    for name in ("Dockerfile", "plain", "program", "old", "d/group", "d/secret", "ä", "line\nbreak", "é" * 100):
        (context / name).write_text(name)
    (context / "nothing").touch()
    (context / "program").chmod(0o755)
    (context / "d" / "group").chmod(0o664)
    (context / "d" / "secret").chmod(0o600)
    (context / "d" / "empty").chmod(0o2770)
    (context / ("l" * 120) / ("m" * 120)).mkdir(parents=True)
    _make_links(context)
    os.mkfifo(context / "fifo", 0o640)
    (context / os.fsdecode(b"\xff\xe9")).write_bytes(bytes(range(256)) * 300)
    with (context / "large").open("wb") as file:
        file.truncate(3 << 20)
    if IS_ROOT:
        _make_of_root(context)
    for name, time in {"old": -1000.5, "plain": 1e9 + 0.9, "program": 2**33 + 5, "d/empty": 5, "d": 6}.items():
        os.utime(context / name, (time, time))
    return context


def _make_links(context: Path) -> None:
    os.link(context / "plain", context / "d" / "hard")
    for name, target in {"dir": "d", "out": "/etc/passwd", "up": "../../..", "dangling": "nowhere"}.items():
        (context / name).symlink_to(target)
    (context / "long").symlink_to("t" * 300)
    (context / "escaped").symlink_to(os.fsdecode(b"\xff"))


def _make_of_root(context: Path) -> None:
    os.mknod(context / "null", 0o020666, os.makedev(1, 3))
    os.mknod(context / "disk", 0o060640, os.makedev(7, 300))
    os.chown(context / "program", 1234, 5678)
    os.setxattr(context / "program", "security.capability", CAPABILITY)
    os.setxattr(context / "ä", "security.capability", OF_NAMESPACE)
    (context / "d" / "secret").chmod(0o4711)
