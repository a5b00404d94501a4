"""A stack as containers of a Docker Engine, reached through the Docker SDK for Python."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from twelfth.compose.options import OF_SERVICE
from twelfth.engines.contract import ReplicaEngine
from twelfth.engines.docker import reload
from twelfth.engines.docker_api import client, config_files, daemon, health, images, logs, mounts, snapshot, succession
from twelfth.engines.docker_api import container_spec as bodies
from twelfth.engines.docker_api.container_spec import ADMISSION, COMPOSE, COPIES
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.runs import DockerRuns
from twelfth.errors import BusyError, EngineError
from twelfth.model.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from twelfth.engines.contract import Runs
    from twelfth.engines.docker_api.config_files import Copies, File
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.snapshot import Health, Replica
    from twelfth.model.stack import Service


_NAMESPACES = {"NetworkMode": "network_mode", "IpcMode": "ipc", "PidMode": "pid"}
"""Settings of the HostConfig by which a container shares another one's namespace, and what Compose calls them."""

HELD = "container:"
"""Beginning of the mode of a namespace that is another container's, before the id of that."""


@dataclass(frozen=True)
class Creation:
    """What a container is created from: its body, its networks, and the configuration files that it sees as copies."""

    body: Body
    endpoints: Mapping[str, Body]
    copies: Copies
    files: Mapping[str, File]
    platform: str = ""


class Docker(DaemonEngine, ReplicaEngine):
    """The stack on the daemon that the docker command line would talk to."""

    name = "docker"
    admission_seconds = 1.0  # who looks a name up again every half second, and checks what is new, has found it then

    def refuse_stack(self) -> None:
        """Raise `MisuseError` if an external network or volume does not exist."""
        self._refuse_absent(*self.stack.resources)

    def notices(self) -> list[str]:
        """Return also which files have an owner and a mode of their own, whatever is declared: as Compose has it."""
        files = [(service, mount) for service in self.stack.services for mount in service.mounts if mount.options]
        return super().notices() + [
            f"{service.name}: {mount.target} has its file's owner and mode; uid, gid and mode count on a Swarm"
            for service, mount in files
            if mount.kind == "config" and mount.content is None
        ]

    def observe(self) -> Snapshot:
        """Return the project's containers, networks and volumes, the users of the networks, and the existing images."""
        with docker_errors():
            networks = self._networks()
            attached = daemon.attached(self.api, [each["Name"] for each in networks])
            found = Snapshot(
                replicas=self._containers(),
                networks=tuple(map(snapshot.network, networks)),
                volumes=tuple(map(snapshot.volume, daemon.volumes(self.api, self._project))),
                images=frozenset(one.image for one in self.stack.services if images.inspect(self.api, one.image)),
                attachments=tuple(snapshot.attachment(self.stack.project, *each) for each in attached),
            )
            return self._with_others(found)

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the service's containers."""
        with docker_errors():
            return self._containers(f"{COMPOSE}service={service}")

    def current(self, replica: Replica) -> Replica:
        """Return how a container is now; the others of its service are not inspected."""
        with docker_errors():
            inspected = client.inspect_container(self.api, replica.id)
            return self._replica(inspected) if inspected else replica

    def create_replica(self, service: Service, number: int) -> Replica:
        """Create a container, join it to its networks but those on which others look for it, start it."""
        name = service.container_name or f"{self.stack.project}-{service.name}-{number}"
        return self._create(name, self._made(service, number))

    def prepare_replica(self, service: Service, number: int, old: Replica) -> Replica:
        """Create a container with the anonymous volumes of `old`, and record how to undo the replacement.

        As with Compose, data that an image keeps in a volume outlives its containers.
        """
        with docker_errors():
            inspected = self.api.inspect_container(old.id)
        made = self._made(service, number)
        labels = made.body["Labels"] | succession.record(inspected)
        body = mounts.taking_over(made.body | {"Labels": labels}, mounts.anonymous_volumes(inspected))
        return self._create(f"{self.stack.project}-{service.name}-{number}", replace(made, body=body), starts=False)

    def _made(self, service: Service, number: int) -> Creation:
        service = self.supported(service)
        files, copies = config_files.declared(service), config_files.copies(self.stack, service.name, number)
        labels = bodies.labels(self.stack, service, number, self._recipe(service, config_files.digests(files)))
        body = self._holding_on(bodies.body(self.stack, copies.mounted_by(service), labels))
        endpoints = bodies.endpoints(self.stack, service)
        return Creation(body, endpoints, copies, files, service.platform)

    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Create a container as another was created, with copies of its configuration files."""
        with docker_errors():
            inspected = self.api.inspect_container(replica.id)
            image = images.inspect(self.api, inspected["Config"]["Image"])
            files = config_files.held(inspected) | self._copied(inspected, replica.service)
        copies = config_files.copies(self.stack, replica.service, number)
        sources = {target: str(copies.path(target)) for target in files}
        labels = self._admission(inspected) | bodies.file_labels(config_files.digests(files))
        body = bodies.clone(inspected, number, labels, sources)
        if image is None or image["Id"] != inspected["Image"]:  # that name means something else by now
            body |= {"Image": inspected["Image"]}
        endpoints = bodies.endpoints_of_clone(inspected, body["Labels"])
        name = f"{self.stack.project}-{replica.service}-{number}"
        return self._create(name, Creation(body, endpoints, copies, files))

    def _copied(self, inspected: Body, service: str) -> dict[str, File]:
        """Return the configuration files that Compose copied into a container."""
        return config_files.copied(self.api, inspected, self.stack.inline_files(service))

    def _admission(self, inspected: Body) -> dict[str, str]:
        """Return the label that says where a container is looked for; Compose gives it none."""
        labels = inspected["Config"]["Labels"]
        service = self.stack.service(labels[f"{COMPOSE}service"])
        if ADMISSION in labels or service is None:
            return {}
        return {ADMISSION: json.dumps(bodies.admission_networks(self.stack, service))}

    def _create(self, name: str, made: Creation, *, starts: bool = True) -> Replica:
        """Create a container with copies of its configuration files, and start it."""
        networks, others = client.split_networks(self.api, made.endpoints)
        body = made.body | networks
        if made.files:
            made.copies.put(made.files)
            body |= {"Labels": body["Labels"] | {COPIES: str(made.copies.home)}}
        with docker_errors():
            created = self.api.create_container_from_config(body, name, made.platform or None)["Id"]
            try:
                if made.files:
                    made.copies.keep(created, config_files.digests(made.files))
                client.join_networks(self.api, created, others)
                if starts:
                    self.api.start(created)
            except BaseException:
                self.api.remove_container(created, force=True, v=True)
                raise
            return self._replica(self.api.inspect_container(created))

    def _holding_on(self, body: Body) -> Body:
        """Return a body with replicas in place of the services to whose namespaces it holds on."""
        host = body["HostConfig"]
        named = {field: host[field] for field in _NAMESPACES if host.get(field, "").startswith(OF_SERVICE)}
        held = {field: f"{HELD}{self._one_of(name.removeprefix(OF_SERVICE)).id}" for field, name in named.items()}
        return body | {"HostConfig": host | held}

    def _one_of(self, service: str) -> Replica:
        """Return a replica of a service, one that runs where one does; raises `EngineError` where there is none."""
        found = sorted(self.replicas(service), key=lambda each: each.is_running)
        if not found:
            raise EngineError(f"there is no {service}, to which others hold on; see: invoke status")
        return found[-1]

    def admit_replica(self, replica: Replica) -> None:
        """Join a container to the networks of the services that depend on its own, under its service's name.

        Where it is on such a network already, for want of another, it leaves it for a moment: its connections break.
        """
        with docker_errors():
            inspected = self.api.inspect_container(replica.id)
            declared = bodies.declared_of(inspected)
            for network in snapshot.not_admitted_on(inspected):
                if network in inspected["NetworkSettings"]["Networks"]:
                    self.api.disconnect_container_from_network(replica.id, network)
                client.join_network(self.api, replica.id, network, bodies.endpoint(replica.service, declared, network))

    def check_reload(self, service: Service, replica: Replica) -> None:
        """Run the service's check in a container of its own, within the replica's network."""
        reload.check(self.api, self.stack, service, replica, config_files.declared(service))

    def reload_replica(self, service: Service, replica: Replica) -> None:
        """Write the container's configuration files, where they pass the check, and send it the service's signal."""
        if service.reload is None:
            super().reload_replica(service, replica)
        else:
            reload.reload(self.api, self.stack, service, replica, service.reload.signal)

    def restore_configuration(self, service: Service, replica: Replica) -> bool:
        """Write the files from before the last reload, and send the container the service's signal."""
        if service.reload is None:
            return super().restore_configuration(service, replica)
        return reload.restore(self.api, self.stack, service, replica, service.reload.signal)

    def stop_replica(self, replica: Replica) -> None:
        """Stop a container with its grace period."""
        with docker_errors(), gone_is_fine():
            self.api.stop(replica.id, timeout=int(replica.recipe["stop_grace_period"].rstrip("s")))

    def retire_replica(self, replica: Replica) -> None:
        """Stop a container, set its restart policy to `no`, and rename it, so that the new one can take its name."""
        self.stop_replica(replica)
        with docker_errors(), gone_is_fine():
            self._set_restart(replica.id, succession.NEVER)
            self._rename(replica.id, f"{self.stack.project}-{replica.name}")

    def start_replica(self, replica: Replica) -> None:
        """Start a stopped or prepared container under its declared name."""
        with docker_errors():
            if name := bodies.declared_of(self.api.inspect_container(replica.id)).get("container_name"):
                self._rename(replica.id, name)
            self.api.start(replica.id)

    def _set_restart(self, identity: str, policy: Body) -> None:
        """Set a container's restart policy; the SDK's types lack some policies."""
        self.api.update_container(identity, restart_policy=cast("Any", policy))

    def _rename(self, identity: str, name: str) -> None:
        if self.api.inspect_container(identity)["Name"] != f"/{name}":
            self.api.rename(identity, name)

    def remove_replica(self, replica: Replica) -> None:
        """Stop a container with its grace period and remove it with its anonymous volumes.

        Those that went over to it from another are named ones to the daemon; those that go over to the next stay.
        """
        self.stop_replica(replica)
        self._give_back(replica)
        own: Mapping[str, str] = {}
        with docker_errors(), gone_is_fine():
            own = mounts.anonymous_volumes(self.api.inspect_container(replica.id))
            self.api.remove_container(replica.id, v=True, force=True)
        for volume in own.values():
            with contextlib.suppress(EngineError, BusyError), docker_errors():
                self.api.remove_volume(volume)
        reload.remove_check(self.api, self.stack, replica)
        if not self.replicas(replica.service):  # a run may still be made from one that was removed by a deploy
            shutil.rmtree(config_files.home(self.stack, replica.service), ignore_errors=True)

    def _give_back(self, replica: Replica) -> None:
        """Restore the name and restart policy of the container that a stopped one replaces, if it still exists.

        The stopped one gets the policy `no` first, so that a restarting daemon starts only one of them.
        """
        old = client.inspect_container(self.api, replica.replaces) if replica.replaces else None
        with docker_errors(), gone_is_fine():
            if old:
                recorded = succession.replaced_by(self.api.inspect_container(replica.id))
                self._set_restart(replica.id, succession.NEVER)
                self._rename(replica.id, f"{self.stack.project}-{replica.name}")
                self._rename(replica.replaces, recorded["name"])
                self._set_restart(replica.replaces, recorded["restart"])

    def clean_up(self) -> None:
        """Remove the copies of configuration files."""
        shutil.rmtree(config_files.root(self.stack), ignore_errors=True)

    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield what the container wrote on both streams."""
        with docker_errors():
            yield from (data for _, data in logs.output(self.api, replica.id, follow=follow, last=last, since=since))

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Run the container's healthcheck in it."""
        return health.check_health(self.api, replica, self.monitor(replica.service), within)

    @functools.cached_property
    def runs(self) -> Runs:
        """Return the project's one-off containers."""
        return DockerRuns(self.api, self.stack)

    def _containers(self, *labels: str) -> tuple[Replica, ...]:
        wanted = {"label": [self._project, f"{COMPOSE}oneoff=False", *labels]}
        listed = self.api.containers(all=True, filters=wanted)
        found = [one for each in listed if (one := client.inspect_container(self.api, each["Id"]))]
        return tuple(self._with_lost_namespaces(self._replica(each), each) for each in succession.as_made(found))

    def _with_lost_namespaces(self, replica: Replica, inspected: Body) -> Replica:
        """Return a replica with what it has left of namespaces of containers that are gone, which no other has.

        So it is after an `up` that replaced what others hold on to, and did not come to these.
        """
        held = {field: inspected["HostConfig"].get(field) or "" for field in _NAMESPACES}
        holders = {field: mode.removeprefix(HELD) for field, mode in held.items() if mode.startswith(HELD)}
        lost = [field for field, holder in holders.items() if client.inspect_container(self.api, holder) is None]
        return replace(replica, recipe=replica.recipe | {_NAMESPACES[field]: "of a lost container" for field in lost})

    def _replica(self, inspected: Body) -> Replica:
        image = None if snapshot.is_labelled(inspected) else images.inspect(self.api, inspected["Image"])
        copied = self._copied(inspected, inspected["Config"]["Labels"][f"{COMPOSE}service"])
        loaded = config_files.loaded(inspected) | config_files.digests(copied)
        found = snapshot.replica(inspected, image, loaded, client.remote_host(self.api))
        own = config_files.copies(self.stack, found.service, found.number)
        return replace(found, is_reloadable=config_files.are_writable(inspected, own))
