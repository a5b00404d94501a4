"""The ports of a stack's services: declared, kept from the last time, or free."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from twelfth.engines import tcp
from twelfth.engines.json_file import read_json, write_json
from twelfth.engines.local.replica_spec import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

    from twelfth.engines.local.supervisord import Supervisor
    from twelfth.model.stack import Service, Stack


class ServicePorts:
    """Which service listens on which port of this machine; what was chosen is kept in a file."""

    def __init__(self, stack: Stack, path: Path, supervisor: Supervisor) -> None:
        """Take the stack, the file, and who knows which services run."""
        self.stack, self.path, self.supervisor = stack, path, supervisor

    @functools.cache  # noqa: B019 - an engine lives as long as one command
    def port(self, name: str) -> int:
        """Return a service's port: the declared one, else the one it had if that is still its own, else a free one."""
        service = self.stack.service(name)
        if service and service.local and service.local.port:
            return service.local.port
        kept = self._kept().get(name)
        if kept and (self._runs(name) or not tcp.why_taken(LOOPBACK, kept)):
            return kept
        return tcp.free(LOOPBACK)

    def _runs(self, name: str) -> bool:
        return any(program.rpartition("-")[0] == name for program in self.supervisor.states())

    def keep(self, service: Service) -> None:
        """Write down the service's port, so that it has it the next time; raises `OSError`."""
        write_json(self.path, self._kept() | {service.name: self.port(service.name)})

    def _kept(self) -> dict[str, int]:
        return {name: port for name, port in read_json(self.path).items() if isinstance(port, int)}
