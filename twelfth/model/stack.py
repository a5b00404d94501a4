"""What a Compose file declares, as frozen values.

Names and units follow the Compose specification
(https://github.com/compose-spec/compose-spec/blob/main/spec.md): sizes in bytes, durations in seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from twelfth.model.image_name import image_name, is_same

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from twelfth.model.contents import Contents
    from twelfth.model.hook import Hook
    from twelfth.model.job import Changes, Job, Notify
    from twelfth.model.pin import Pin

Pairs = tuple[tuple[str, str], ...]
"""A mapping as a value: (name, value) pairs, sorted by name."""

Options = Pairs
"""Keys of Compose's canonical model and their values, each as JSON: what only an engine has to understand."""


def as_options(values: Mapping[str, Any]) -> Options:
    """Return keys and values of the model as a value."""
    return tuple(sorted((key, json.dumps(value, sort_keys=True)) for key, value in values.items()))


MONITOR_SECONDS = 5.0
"""Seconds that a new replica is watched if `deploy.update_config.monitor` is not set, Swarm's default."""

SERVICE_HEALTHY, SERVICE_COMPLETED = "service_healthy", "service_completed_successfully"
"""Conditions for which dependents may wait (`depends_on.NAME.condition`)."""


OF_SERVICE = "service:"
"""The prefix of an additional build context that is the image of a service."""

OF_IMAGE = "docker-image://"
"""The prefix of one that is an image."""


@dataclass(frozen=True)
class BuildSecret:
    """A file that a build can read (`RUN --mount=type=secret,id=ID`) and that is not in the image.

    It is the file at `source` or has this `content`.
    """

    id: str
    source: str = ""
    content: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Build:
    """What an image is built from: a context directory, a Dockerfile of it, arguments, and what else Compose has.

    `dockerfile` is its path, from the context or from the root; `inline` is its text if the Compose file contains it.
    `tag` is the image's name in the Compose file, in addition to the release's name. `contents` are the contents of the
    context that gave the release its name. `is_named` is set if the operator named the release instead: then it can be
    used, but not built from the current files. `ssh` are agents and keys that a build can use, as options of buildx.
    `additional_contexts` are what else the Dockerfile can read, by name: a directory's absolute path, `service:NAME`,
    or what only BuildKit reads (`docker-image://IMAGE`, a URL).
    """

    context: Path
    args: Pairs = ()
    dockerfile: str = "Dockerfile"
    inline: str = ""
    target: str = ""
    tag: str = ""
    options: Options = ()
    secrets: tuple[BuildSecret, ...] = ()
    ssh: tuple[str, ...] = ()
    additional_contexts: Pairs = ()
    contents: Contents | None = field(default=None, compare=False, repr=False)
    is_named: bool = False

    @property
    def read(self) -> tuple[Path, str, str, Pairs]:
        """Return what decides which files are read for it; several builds may have that in common."""
        return self.context, self.dockerfile, self.inline, self.directories

    @property
    def directories(self) -> Pairs:
        """Return the additional contexts that are directories."""
        return tuple((name, context) for name, context in self.additional_contexts if context.startswith("/"))

    @property
    def services(self) -> tuple[str, ...]:
        """Return the services whose images are additional contexts."""
        contexts = (context for _, context in self.additional_contexts)
        return tuple(context.removeprefix(OF_SERVICE) for context in contexts if context.startswith(OF_SERVICE))

    def with_images(self, images: Mapping[str, str]) -> Build:
        """Return a build whose additional contexts name images instead of services; `images` has them by service."""
        named = {f"{OF_SERVICE}{service}": f"{OF_IMAGE}{image}" for service, image in images.items()}
        contexts = tuple((name, named.get(context, context)) for name, context in self.additional_contexts)
        return replace(self, additional_contexts=contexts)


@dataclass(frozen=True)
class Mount:
    """Something of the engine's or the operator's that a replica sees at `target`.

    `kind` is `volume` (source: a key of the stack's volumes, "" for one of the replica's own), `config` (source: the
    file's path, or else `content`; always read-only), `bind` (source: a path of the daemon's machine) or `tmpfs` (no
    source).
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    content: str | None = None
    options: Options = ()
    is_shared: bool = False
    """Whether several replicas may write to it at the same time (`x-twelfth.shared`)."""

    is_source: bool = False
    """Whether it has programs that the service's image contains at the same path."""

    @property
    def is_inline(self) -> bool:
        """Return whether it is a config or secret with inline content instead of a file."""
        return self.kind == "config" and self.content is not None


@dataclass(frozen=True)
class Port:
    """A published port: `host`:`published` outside is `target` inside; an empty host is every address.

    The engine chooses one where `published` is 0, and one of `published` to `through` where that is not 0.
    """

    target: int
    published: int = 0
    host: str = ""
    protocol: str = "tcp"
    through: int = 0

    @property
    def is_fixed(self) -> bool:
        """Return whether only one process of a machine can have it."""
        return bool(self.published) and not self.through


@dataclass(frozen=True)
class Healthcheck:
    """A command that checks whether a replica is healthy; None means Compose's default."""

    test: tuple[str, ...]
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    retries: int | None = None
    start_interval: float | None = None


@dataclass(frozen=True)
class Limits:
    """The most that one replica may take: processors, bytes of memory, processes."""

    cpus: float | None = None
    memory: int | None = None
    pids: int | None = None


@dataclass(frozen=True)
class Logging:
    """The logging driver of a replica, "" for the engine's default, and options such as `max-size`."""

    driver: str = ""
    options: Pairs = ()


@dataclass(frozen=True)
class Local:
    """How a service runs without containers (`x-local`): a command, and what its environment has instead.

    `port` is the public port where the service answers by itself, None where it is to get any free one. `healthcheck`
    is a command that reports whether it is ready. `<port>`, `<data>` (the directory of its volume) and `<SERVICE.port>`
    in the others stand for what the engine chose.
    """

    command: tuple[str, ...]
    environment: Pairs = ()
    port: int | None = None
    healthcheck: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reload:
    """How a replica takes changed configuration files without being replaced (`x-reload`).

    `signal` has its process load them, such as SIGHUP; `check` is a command that refuses those that it cannot take.
    """

    signal: str
    check: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """A service of the stack."""

    name: str
    image: str
    build: Build | None = None
    command: tuple[str, ...] | None = None
    environment: Pairs = ()
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    depends_on: tuple[str, ...] = ()
    conditions: Pairs = ()
    """What of the services that it depends on is waited for, where that is more than their start."""
    follows: tuple[str, ...] = ()
    """The services with which it is replaced: it holds on to their replicas (`network_mode: service:NAME`), or is to be
    started after them (`depends_on.NAME.restart`)."""
    replicas: int = 1
    user: str | None = None
    init: bool | None = None
    read_only: bool = False
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    limits: Limits = Limits()
    healthcheck: Healthcheck | None = None
    logging: Logging = Logging()
    restart: str = "no"
    stop_grace: float = 10.0
    monitor: float = MONITOR_SECONDS
    """Seconds that new replicas are watched before old ones are removed (`deploy.update_config.monitor`).

    A replica without a healthcheck is ready once it has run that long."""
    constraints: tuple[str, ...] = ()
    """Where a Swarm may run it, such as `node.labels.data==true` (`deploy.placement.constraints`)."""
    local: Local | None = None
    reload: Reload | None = None
    container_name: str = ""
    platform: str = ""
    pull_policy: str = ""
    endpoints: Options = ()
    """What it is called on its networks, and its addresses there, by the networks' names."""
    options: Options = ()
    """Keys that say how its container is made, and nothing else."""
    pre_start: tuple[Changes, ...] = ()
    """The release commands, in order: run from a new release before any replica of it, as in Heroku's release phase
    (https://devcenter.heroku.com/articles/release-phase). Each may have settings that differ from the service's."""
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    """What is executed in a replica after its start, and before it is stopped by a command."""
    pin: Pin | None = None
    """The image that its reference is pinned to; then `image` is that image's name with its digest, or its id."""

    @property
    def release(self) -> str:
        """Return its release: its image's tag if it is built, else that of its pin; "" without either."""
        if self.build:
            return image_name(self.image).tag
        return self.pin.release if self.pin else ""

    @property
    def why_single(self) -> str:
        """Return why there can be only one replica, an empty string if there can be more."""
        port = f"publishes port {self.fixed_port.published}" if self.fixed_port else ""
        return self._exclusive_volume or port or self._fixed_name

    @property
    def why_exclusive(self) -> str:
        """Return why two replicas cannot exist at the same time, an empty string if they can.

        A fixed port is no such reason: a replica can be tried without its ports.
        """
        return self._exclusive_volume or self._exclusive_directory or self._fixed_name or self._fixed_address

    @property
    def fixed_port(self) -> Port | None:
        """Return a published port that only one replica can have, None if there is none."""
        return next((port for port in self.ports if port.is_fixed), None)

    @property
    def _exclusive_volume(self) -> str:
        volumes = (mount for mount in self.mounts if mount.kind == "volume" and mount.source)
        volume = next((mount for mount in volumes if not (mount.read_only or mount.is_shared)), None)
        return f"keeps its data in the volume {volume.source}" if volume else ""

    @property
    def _exclusive_directory(self) -> str:
        # Code that is mounted over that of the image may be seen by several replicas; any other directory may be that
        # of a database.
        directories = (mount for mount in self.mounts if mount.kind == "bind" and mount not in self.mounted_source)
        directory = next((mount for mount in directories if not (mount.read_only or mount.is_shared)), None)
        return f"writes to {directory.source}" if directory else ""

    @property
    def _fixed_name(self) -> str:
        return f"is called {self.container_name}" if self.container_name else ""

    @property
    def _fixed_address(self) -> str:
        options, endpoints = dict(self.options), [json.loads(settings) for _, settings in self.endpoints]
        on_networks = ("ipv4_address", "ipv6_address", "mac_address")
        addresses = (settings[key] for settings in endpoints for key in on_networks if settings.get(key))
        if "network_mode" in options:
            return f"has network_mode {json.loads(options['network_mode'])}"
        if "mac_address" in options or (address := next(addresses, "")):
            return f"has the address {json.loads(options.get('mac_address', 'null')) or address}"
        return ""

    @property
    def mounted_source(self) -> tuple[Mount, ...]:
        """Return the mounts that show its replicas the build context or its programs, instead of the code in the image.

        A mount of another directory in it may as well contain data.
        """
        context = self.build and self.build.context
        mounts = [mount for mount in self.mounts if mount.kind == "bind"]
        return tuple(mount for mount in mounts if context and (mount.is_source or context.is_relative_to(mount.source)))

    @property
    def is_replaced_in_place(self) -> bool:
        """Return whether a new replica cannot run next to the old one: they would share a port, a name or data."""
        return bool(self.why_single or self.why_exclusive)

    @property
    def candidate(self) -> Service:
        """Return the service as it is tried next to its running replica: without ports, and not restarted."""
        return replace(self, ports=(), restart="no")


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
