"""The ports of a stack's services: declared, remembered from the last `up`, or free."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from twelfth.engines import tcp
from twelfth.engines.json_file import read_json, write_json
from twelfth.engines.local.replica_spec import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

    from twelfth.engines.local.supervisord import Supervisor
    from twelfth.model.service import Service
    from twelfth.model.stack import Stack


class ServicePorts:
    """The port of each service on this machine; chosen ports are remembered in a file."""

    def __init__(self, stack: Stack, path: Path, supervisor: Supervisor) -> None:
        self.stack, self.path, self.supervisor = stack, path, supervisor

    @functools.cache  # noqa: B019 - an engine lives as long as one command
    def port(self, name: str) -> int:
        """Return a service's port: the declared one, else the remembered one if it is not taken, else a free one."""
        service = self.stack.service(name)
        if service and service.local and service.local.port:
            return service.local.port
        remembered = self._remembered().get(name)
        if remembered and (self._runs(name) or not tcp.why_taken(LOOPBACK, remembered)):
            return remembered
        return tcp.free(LOOPBACK)

    def _runs(self, name: str) -> bool:
        return any(program.rpartition("-")[0] == name for program in self.supervisor.states())

    def remember(self, service: Service) -> None:
        """Remember the service's port; raises `OSError`."""
        write_json(self.path, self._remembered() | {service.name: self.port(service.name)})

    def _remembered(self) -> dict[str, int]:
        return {name: port for name, port in read_json(self.path).items() if isinstance(port, int)}
