"""What a Compose file declares of a stack, as frozen values; `service` has those of a service."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from twelfth.model.image_name import is_same
from twelfth.model.service import SERVICE_COMPLETED, Build, Options, Pairs, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from twelfth.model.job import Job, Notify
    from twelfth.model.pin import Pin


@dataclass(frozen=True)
class Network:
    """A network of the stack; an internal one has no access to other networks.

    `known_as` is its name in the engine, "" for Compose's `PROJECT_NAME`. An external one belongs to another owner: it
    is used, and never created, changed or removed.
    """

    kind: ClassVar[str] = "network"
    name: str
    internal: bool = False
    known_as: str = ""
    external: bool = False
    options: Options | None = ()

    def differs(self, network: Network) -> bool:
        """Return whether a network of the same name has other settings, as far as those of both are known."""
        is_known = None not in (self.options, network.options)
        return self.internal != network.internal or (is_known and self.options != network.options)


@dataclass(frozen=True)
class Volume:
    """A named volume of the stack: data that outlives its containers; see `Network`."""

    kind: ClassVar[str] = "volume"
    name: str
    known_as: str = ""
    external: bool = False
    options: Options | None = ()

    def changes(self, declared: Volume) -> tuple[str, ...]:
        """Return the names of the settings that differ from their declaration, as far as both are known."""
        if self.options is None or declared.options is None:
            return ()
        before, after = _volume_settings(self.options), _volume_settings(declared.options)
        return tuple(name for name in sorted(before | after) if before.get(name) != after.get(name))


def _volume_settings(options: Options) -> dict[str, str]:
    """Return the settings of a volume by name, such as `driver_opts.device`; the default driver is omitted."""
    settings: dict[str, str] = {}
    for key, text in options:
        value = json.loads(text)
        values = value if isinstance(value, dict) else {"": value}
        settings |= {f"{key}.{name}".rstrip("."): str(setting) for name, setting in values.items()}
    return {name: value for name, value in settings.items() if (name, value) != ("driver", "local")}


PROXY = "proxy"
"""The name of the generated service."""


@dataclass(frozen=True)
class Proxy:
    """The proxy to generate in front of a service (`x-twelfth.proxy`).

    `port` is the port of the service's containers, `health` the path of its HTTP checks, "" for checks by TCP. Before a
    replica is removed, its open requests are waited for, at most `drain` seconds.
    """

    service: str
    port: int
    drain: float = 10.0
    health: str = ""
    image: str = "haproxy:3.0-alpine"


@dataclass(frozen=True)
class Stack:
    """Everything that a project's Compose files declare, services in the order in which they start.

    `runs_from`, `ingress` and `max_replicas` are values of `x-twelfth`: the service that runs are made from, the one
    that gets the requests of clients, and the most replicas of a service; see `run_service` and `ingress_of`.
    """

    project: str
    directory: Path
    services: tuple[Service, ...]
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    files: tuple[Path, ...] = ()
    nodes: Pairs = ()
    """Where the daemons of a Swarm's nodes are reached, by the nodes' names (`x-swarm.nodes`)."""
    runs_from: str = ""
    ingress: str = ""
    max_replicas: tuple[tuple[str, int], ...] = ()
    shared: tuple[str, ...] = ()
    """Volumes, and sources of bind mounts, to which several replicas may write (`x-twelfth.shared`)."""
    proxy: Proxy | None = None
    inline: Pairs = ()
    """The services and targets of `inline_files`, for a stack whose services are not known."""
    jobs: tuple[Job, ...] = ()
    notify: Notify | None = None
    """Where the ends of runs and changes are reported, unless a job has another value."""

    reported: Pairs = ()
    """The values of `notify.on`, as in `notifications`, for a stack whose jobs are not known."""

    @property
    def notifications(self) -> dict[str, str]:
        """Return when ends are reported, `failure` or `always`: those of the runs of a job, under "" all others."""
        declared = {"": self.notify} | {job.name: job.notify for job in self.jobs}
        return dict(self.reported) | {name: notify.on for name, notify in declared.items() if notify}

    def notify_on(self, job: str = "") -> str:
        """Return when the end of a job's run is reported, by default that of a change or other run; "" for never."""
        return self.notifications.get(job) or self.notifications.get("", "")

    def notify_of(self, job: str = "") -> Notify | None:
        """Return where the end of a job's run is reported, by default that of a change or other run."""
        declared = self.job(job)
        return (declared.notify if declared else None) or self.notify

    @property
    def release(self) -> str:
        """Return the release that its services are of, "" if none is built or pinned."""
        return next((service.release for service in self.services if service.build or service.pin), "")

    @property
    def is_built(self) -> bool:
        """Return whether a service is built: then only built services have releases."""
        return any(service.build for service in self.services)

    @property
    def released(self) -> tuple[Service, ...]:
        """Return the pulled services that have releases: those with the image that runs are made from.

        There are none if a service is built, or if runs could be made from several images: one may be a database's.
        """
        names = (self.run_service,) if self.run_service else self.candidates
        images = {service.image for service in self.services if service.name in names}
        if self.is_built or len(images) != 1:
            return ()
        return tuple(service for service in self.services if service.image in images - {""})

    @property
    def resources(self) -> tuple[Network | Volume, ...]:
        """Return the networks and volumes."""
        return (*self.networks, *self.volumes)

    @property
    def image_names(self) -> frozenset[str]:
        """Return the names of the images of its services and their release commands."""
        commands = (command.container for service in self.services for command in service.pre_start)
        return frozenset(container.image for container in (*self.services, *commands) if container.image)

    @property
    def completing(self) -> frozenset[str]:
        """Return the services that run to completion: others wait for that before they start."""
        conditions = (condition for service in self.services for condition in service.conditions)
        return frozenset(name for name, condition in conditions if condition == SERVICE_COMPLETED)

    @property
    def run_service(self) -> str:
        """Return the service that runs are made from, "" where it could be any of several (`candidates`)."""
        only = self.candidates[0] if len(self.candidates) == 1 else ""
        return self.runs_from or only

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return the services that runs can be made from if none is named: those that are built, else all.

        Services that run to completion are excluded: they are not running when a run is made.
        """
        lasting = [service for service in self.services if service.name not in self.completing]
        built = tuple(service.name for service in lasting if service.build)
        return built or tuple(service.name for service in lasting)

    def ingress_of(self, publishing: Collection[str]) -> str:
        """Return which of the services that publish a port gets the requests of clients, "" for none.

        The default is the one that runs are made from, else the last to start: a proxy depends on what it forwards to.
        """
        first = (PROXY if self.proxy else "", self.run_service)
        order = (*first, *(service.name for service in reversed(self.services)), *sorted(publishing))
        return self.ingress or next((name for name in order if name in publishing), "")

    def service(self, name: str) -> Service | None:
        """Return the service of that name, or None."""
        return next((service for service in self.services if service.name == name), None)

    def job(self, name: str) -> Job | None:
        """Return the job of that name, or None."""
        return next((job for job in self.jobs if job.name == name), None)

    def inline_files(self, service: str) -> tuple[str, ...]:
        """Return the targets of a service's configs and secrets with inline content."""
        declared = self.service(service)
        known = [target for name, target in self.inline if name == service]
        return (*known, *(mount.target for mount in (declared.mounts if declared else ()) if mount.is_inline))

    def known_as(self, kind: str, name: str) -> str:
        """Return the engine's name of the network or volume that is declared under a key."""
        resources = (resource for resource in self.resources if (resource.kind, resource.name) == (kind, name))
        return next(map(self.engine_name, resources), f"{self.project}_{name}")

    def engine_name(self, resource: Network | Volume) -> str:
        """Return the engine's name of a declared or observed network or volume."""
        return resource.known_as or f"{self.project}_{resource.name}"

    def with_service(self, service: Service) -> Stack:
        """Return the stack with a service in place of the one of its name."""
        return replace(self, services=tuple(service if old.name == service.name else old for old in self.services))

    def dependencies(self, service: Service) -> tuple[Service, ...]:
        """Return what a service depends on, and what that does, in the order in which they start."""
        names, pending = set[str](), [*service.depends_on]
        while pending:
            if (name := pending.pop()) not in names and (dependency := self.service(name)):
                names.add(name)
                pending += dependency.depends_on
        return tuple(service for service in self.services if service.name in names)

    def with_dependencies(self, names: Collection[str]) -> frozenset[str]:
        """Return the names of these services and of their dependencies; without names, those of all services.

        The generated proxy belongs to its service, which cannot be reached without it.
        """
        services = [service for service in self.services if service.name in names or not names]
        names = {needed.name for service in services for needed in (service, *self.dependencies(service))}
        return frozenset(names | ({PROXY} if self.proxy and self.proxy.service in names else set()))

    def networks_to_dependants(self, service: Service) -> tuple[str, ...]:
        """Return the networks that a service shares with its dependents, which look for it there."""
        dependants = [dependant for dependant in self.services if service.name in dependant.depends_on]
        return tuple(name for name in service.networks if any(name in dependant.networks for dependant in dependants))


def with_release(stack: Stack, release: str) -> Stack:
    """Return a stack of no release as one of this release: the tag of each image that it builds.

    A service that is not built has the release, too, if its image is that of a service that is built.
    """
    built = [(service.build.tag or service.image, service.image) for service in stack.services if service.build]

    def unreleased(service: Service) -> str:
        same = (image for tag, image in built if service.image and is_same(tag, service.image))
        return service.image if service.build else next(same, "")

    def released(service: Service) -> Service:
        name = unreleased(service)
        commands = (replace(command, container=released(command.container)) for command in service.pre_start)
        return replace(service, image=f"{name}:{release}" if name else service.image, pre_start=tuple(commands))

    return replace(stack, services=tuple(map(released, stack.services)))


def with_pin(stack: Stack, pin: Pin, image: str) -> Stack:
    """Return a stack whose `released` services, and their release commands, are made from a pinned image.

    `image` is the name or id by which the engine has it.
    """
    references = {service.image for service in stack.released}

    def pinned(service: Service) -> Service:
        commands = (replace(command, container=pinned(command.container)) for command in service.pre_start)
        service = replace(service, pre_start=tuple(commands))
        return replace(service, image=image, pin=pin) if service.image in references else service

    return replace(stack, services=tuple(map(pinned, stack.services)))


def with_builds(stack: Stack, change: Callable[[Build], Build]) -> Stack:
    """Return a stack with each build replaced by the result of `change`."""

    def changed(service: Service) -> Service:
        return replace(service, build=change(service.build)) if service.build else service

    return replace(stack, services=tuple(map(changed, stack.services)))
