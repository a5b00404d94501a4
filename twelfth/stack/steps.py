"""The steps of a plan: printable values, each with its cause."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from twelfth.model.run import Run
    from twelfth.model.snapshot import BuiltRelease, Replica
    from twelfth.model.stack import Network, Service, Volume


Restarts = tuple[tuple[int, int], ...]
"""Numbers of replicas, with the restarts of each."""


class Step:
    """One thing to do, and why; it is printed as `what: cause`."""

    cause: str
    says: ClassVar[str]
    """What is done, as a verb and its object, with the step's own values in braces (`str.format`)."""

    @property
    def what(self) -> str:
        """Return what is done."""
        return self.says.format(**vars(self))

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

    says = "create {resource.kind} {resource.name}"
    resource: Network | Volume
    cause: str


@dataclass(frozen=True)
class RemoveResource(Step):
    """Remove a network or volume."""

    says = "remove {resource.kind} {resource.name}"
    resource: Network | Volume
    cause: str


@dataclass(frozen=True)
class CreateReplica(Step):
    """Make and start a replica that nobody is sent to yet, from the service as declared, or just `like` another."""

    says = "create {service.name}-{number}"
    service: Service
    number: int
    cause: str
    like: Replica | None = None


@dataclass(frozen=True)
class AdmitReplica(Step):
    """Wait until a replica is ready, and have visitors find it; remove it where it does not get ready."""

    says = "admit {service.name}-{number}"
    service: Service
    number: int
    cause: str = "as soon as it is ready"


@dataclass(frozen=True)
class CompleteReplica(Step):
    """Wait until a replica has ended, and well; others start only then."""

    says = "complete {service.name}-{number}"
    service: Service
    number: int
    cause: str = "others wait for its end"


@dataclass(frozen=True)
class ReplaceReplica(Step):
    """Stop the only replica that there can be, have a new one in its place, or else the old one again."""

    says = "replace {old.name} by {service.name}-{number}"
    service: Service
    number: int
    old: Replica
    cause: str
    is_watched: bool = False
    """Whether the new replica is watched for its service's `monitor` seconds before the old one is removed."""


@dataclass(frozen=True)
class WatchReplicas(Step):
    """Watch new replicas for their service's `monitor` seconds; if one fails, go back to the old ones.

    `restarts` has the new replicas' numbers and previous restarts. `removed` is the number of old replicas that were
    removed before.
    """

    service: Service
    restarts: Restarts
    removed: int
    cause: str

    @property
    def what(self) -> str:
        """Return `watch REPLICA, REPLICA for N s`."""
        names = ", ".join(f"{self.service.name}-{number}" for number, _ in self.restarts)
        return f"watch {names} for {self.service.monitor:g} s"


@dataclass(frozen=True)
class ReloadReplica(Step):
    """Have a replica load its configuration files, which have changed, and wait until it is ready."""

    says = "reload {replica.name}"
    service: Service
    replica: Replica
    cause: str


@dataclass(frozen=True)
class RemoveReplica(Step):
    """Stop a replica, with its grace period, and remove it."""

    says = "remove {replica.name}"
    replica: Replica
    cause: str


@dataclass(frozen=True)
class RollService(Step):
    """Make a service what is declared; the engine rolls its replicas by itself."""

    says = "roll {service.name}"
    service: Service
    cause: str


@dataclass(frozen=True)
class ScaleService(Step):
    """Give a service its number of replicas, all of what it is now."""

    says = "scale {service.name} to {service.replicas}"
    service: Service
    cause: str


@dataclass(frozen=True)
class RemoveService(Step):
    """Stop a service, with its grace period, and remove it."""

    says = "remove {service}"
    service: str
    cause: str


@dataclass(frozen=True)
class RemoveRelease(Step):
    """Remove a release that nothing needs any more."""

    says = "remove release {release.id}"
    release: BuiltRelease
    cause: str


@dataclass(frozen=True)
class StopRun(Step):
    """End a run, with its grace period."""

    says = "end run {run.id}"
    run: Run
    cause: str


@dataclass(frozen=True)
class DeleteRun(Step):
    """Remove the record of a run."""

    says = "delete run {run.id}"
    run: Run
    cause: str


@dataclass(frozen=True)
class RunReleaseCommand(Step):
    """Run the release command of a service, from the release that is being deployed.

    `after` has the dependencies that were changed before it.
    """

    service: Service
    cause: str
    after: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """Return `run COMMAND`."""
        return f"run {printable(shlex.join(self.service.release_command))}"
