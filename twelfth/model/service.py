"""What a Compose file declares of one service, as frozen values.

Names and units follow the Compose specification
(https://github.com/compose-spec/compose-spec/blob/main/spec.md): sizes in bytes, durations in seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from twelfth.model.image_name import image_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from twelfth.model.contents import Contents
    from twelfth.model.hook import Hook
    from twelfth.model.job import Changes
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
