"""Control the load balancer of one service: its process, and the replicas to which it sends requests."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twelfth.engines import tcp
from twelfth.engines.json_file import read_json, write_json
from twelfth.engines.local.replica_spec import LOOPBACK
from twelfth.engines.local.run_record import make_private
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.engines.local.supervisord import Supervisor

POLL = 0.01
"""Seconds between two checks whether it listens."""

RUNNING = ("starting", "running")

LISTEN_WITHIN = 10.0
"""Seconds within which it must listen."""


class ServiceProxy:
    """The proxy on the public port of one service; its configuration file lists the replicas."""

    def __init__(self, home: Path, service: str, supervisor: Supervisor) -> None:
        self.home, self.supervisor = home, supervisor
        self.program = f"{service}-proxy"
        self.path = home / "proxies" / f"{service}.json"

    @property
    def backends(self) -> dict[str, int]:
        """The ports of the replicas to which requests are sent, by name."""
        return dict(read_json(self.path).get("backends") or {})

    def has(self, port: int) -> bool:
        """Return whether the proxy listens on a port."""
        return read_json(self.path).get("port") == port and self.supervisor.states().get(self.program) in RUNNING

    def sends_to(self, replica: str, states: Mapping[str, str]) -> bool:
        """Return whether the proxy sends requests to a replica, or did until that exited.

        `states` are those of supervisord's programs.
        """
        is_up = states.get(self.program) in RUNNING or states.get(replica) not in RUNNING
        return is_up and replica in self.backends

    def admit(self, replica: str, port: int, public: int) -> None:
        """Send requests on a public port to a replica, too; raises `OSError`, and `EngineError` for a taken port."""
        make_private(self.home, "proxies")
        spec = read_json(self._spec)
        has_moved = (spec.get("directory"), read_json(self.path).get("port")) != (str(self.home), public)
        write_json(self.path, {"host": LOOPBACK, "port": public, "backends": self.backends | {replica: port}})
        if has_moved or not _has_program(spec) or self.supervisor.states().get(self.program) not in RUNNING:
            self.supervisor.remove(self.program)
            self._start(public)

    def dismiss(self, replica: str) -> None:
        """Send no more requests to a replica."""
        if replica in (backends := self.backends):
            del backends[replica]
            write_json(self.path, read_json(self.path) | {"backends": backends})

    def remove(self) -> None:
        """Stop the proxy."""
        self.supervisor.remove(self.program)
        for path in (self.path, self._spec):
            path.unlink(missing_ok=True)

    @property
    def _spec(self) -> Path:
        return self.path.with_suffix(".spec")

    def _start(self, public: int) -> None:
        command = [sys.executable, "-P", str(Path(__file__).with_name("proxy.py")), str(self.path)]
        write_json(self._spec, {"command": command, "environment": {}, "directory": str(self.home)})
        self.supervisor.add(self.program, self._spec, restart="always", grace=1)
        deadline = time.monotonic() + LISTEN_WITHIN
        while not tcp.answers(LOOPBACK, public):
            if self.supervisor.states().get(self.program) not in RUNNING or time.monotonic() > deadline:
                why = (self.home / "logs" / f"{self.program}.log").read_text("utf-8", "replace").strip()
                raise EngineError(f"no process listens on port {public}: {why.rpartition(chr(10))[2]}. Try: invoke up")
            time.sleep(POLL)


def _has_program(spec: Mapping[str, Any]) -> bool:
    """Return whether the proxy could be restarted: the checkout that it was started from may have been removed."""
    interpreter, _, script, _ = spec["command"]
    return Path(interpreter).is_file() and Path(script).is_file()
