"""The steps of a plan: printable values, each with its cause."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twelfth.model.release import BuiltRelease
    from twelfth.model.run import Run
    from twelfth.model.snapshot import Replica
    from twelfth.model.stack import Network, Service, Volume


class Step(ABC):
    """One thing to do, and why; it is printed as `what: cause`."""

    cause: str

    @property
    @abstractmethod
    def what(self) -> str:
        """Return what is done, as a verb and its object."""

    def __str__(self) -> str:
        """Return the step and its cause."""
        return f"{self.what}: {self.cause}"


@dataclass(frozen=True)
class EnsureImage(Step):
    """Make a service's image available: build it, or pull it."""

    service: Service
    cause: str

    @property
    def what(self) -> str:
        """Return `build IMAGE` or `pull IMAGE`."""
        return f"{'build' if self.service.build else 'pull'} {self.service.image}"


@dataclass(frozen=True)
class CreateResource(Step):
    """Make a network or volume."""

    resource: Network | Volume
    cause: str

    @property
    def what(self) -> str:
        """Return `create network NAME` or `create volume NAME`."""
        return f"create {kind(self.resource)} {self.resource.name}"


@dataclass(frozen=True)
class RemoveResource(Step):
    """Remove a network or volume."""

    resource: Network | Volume
    cause: str

    @property
    def what(self) -> str:
        """Return `remove network NAME` or `remove volume NAME`."""
        return f"remove {kind(self.resource)} {self.resource.name}"


@dataclass(frozen=True)
class CreateReplica(Step):
    """Make and start a replica that nobody is sent to yet, from the service as declared, or just `like` another."""

    service: Service
    number: int
    cause: str
    like: Replica | None = None

    @property
    def what(self) -> str:
        """Return `create NAME`."""
        return f"create {self.service.name}-{self.number}"


@dataclass(frozen=True)
class AdmitReplica(Step):
    """Wait until a replica is ready, and have visitors find it; remove it where it does not get ready."""

    service: Service
    number: int
    cause: str = "as soon as it is ready"

    @property
    def what(self) -> str:
        """Return `admit NAME`."""
        return f"admit {self.service.name}-{self.number}"


@dataclass(frozen=True)
class ReplaceReplica(Step):
    """Stop the only replica that there can be, have a new one in its place, or else the old one again."""

    service: Service
    number: int
    instead: Replica
    cause: str

    @property
    def what(self) -> str:
        """Return `replace NAME by NAME`."""
        return f"replace {self.instead.name} by {self.service.name}-{self.number}"


@dataclass(frozen=True)
class ReloadReplica(Step):
    """Have a replica load its configuration files, which have changed, and wait until it is ready."""

    service: Service
    replica: Replica
    cause: str

    @property
    def what(self) -> str:
        """Return `reload NAME`."""
        return f"reload {self.replica.name}"


@dataclass(frozen=True)
class RemoveReplica(Step):
    """Stop a replica, with its grace period, and remove it."""

    replica: Replica
    cause: str

    @property
    def what(self) -> str:
        """Return `remove NAME`."""
        return f"remove {self.replica.name}"


@dataclass(frozen=True)
class RemoveRelease(Step):
    """Remove a release that nothing needs any more."""

    release: BuiltRelease
    cause: str

    @property
    def what(self) -> str:
        """Return `remove release ID`."""
        return f"remove release {self.release.id}"


@dataclass(frozen=True)
class StopRun(Step):
    """End a run, with its grace period."""

    run: Run
    cause: str

    @property
    def what(self) -> str:
        """Return `end run ID`."""
        return f"end run {self.run.id}"


@dataclass(frozen=True)
class DeleteRun(Step):
    """Remove the record of a run."""

    run: Run
    cause: str

    @property
    def what(self) -> str:
        """Return `delete run ID`."""
        return f"delete run {self.run.id}"


@dataclass(frozen=True)
class RunReleaseCommand(Step):
    """Run the release command of a service, from the release that is to serve."""

    service: Service
    cause: str

    @property
    def what(self) -> str:
        """Return `run COMMAND`."""
        return f"run {shlex.join(self.service.release_command)}"


def kind(resource: Network | Volume) -> str:
    """Return `network` or `volume`."""
    return type(resource).__name__.lower()
