"""TCP ports of this machine: which are taken, and one that is not."""

from __future__ import annotations

import socket


def why_taken(host: str, port: int) -> str:
    """Return why nobody can listen there now (somebody else does, no such address, no right to), or an empty string."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


def free(host: str) -> int:
    """Return a port where nobody listens now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
