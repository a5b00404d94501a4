"""TCP ports of this machine: whether one is taken, and a free one."""

from __future__ import annotations

import errno
import os
import random
import socket

from twelfth.errors import EngineError

NOT_A_PROGRAM = frozenset(os.strerror(code).lower() for code in (errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL))
"""Reasons of `why_taken` that no other program causes: a port that is not permitted, an address of another machine."""


def why_taken(host: str, port: int) -> str:
    """Return why this process cannot listen on a port (taken, no such address, not permitted), or an empty string."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


LISTENERS = range(20000, 32000)
"""Ports above the well-known ones and below those of outgoing connections, which may become taken at any moment.

Those start at 32768 on Linux (net.ipv4.ip_local_port_range) and at 49152 on macOS.
"""


def free(host: str) -> int:
    """Return a free port; raises `EngineError` if there is none."""
    for port in random.sample(LISTENERS, len(LISTENERS)):
        if not why_taken(host, port):
            return port
    raise EngineError(f"no port from {LISTENERS.start} to {LISTENERS.stop} is free on {host}; stop something")


def answers(host: str, port: int) -> bool:
    """Return whether a process accepts connections on a port."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
