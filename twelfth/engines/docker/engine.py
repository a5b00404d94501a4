"""Run a stack as containers of a Docker daemon."""

from __future__ import annotations

import contextlib
import functools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from twelfth.engines import healthcheck, multiplex
from twelfth.engines.contract import ReplicaEngine
from twelfth.engines.docker import reload
from twelfth.engines.docker_api import (
    client,
    config_files,
    daemon,
    health,
    images,
    logs,
    mounts,
    namespaces,
    snapshot,
    succession,
)
from twelfth.engines.docker_api import container_spec as bodies
from twelfth.engines.docker_api.config_files import ConfigFiles
from twelfth.engines.docker_api.container_spec import ADMISSION, CANDIDATE, COMPOSE, COPIES, RELEASE
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.exec_session import ExecSession
from twelfth.engines.docker_api.runs import DockerRuns
from twelfth.engines.docker_api.state_volume import StateVolume
from twelfth.errors import BusyError, EngineError
from twelfth.model.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from twelfth.engines.contract import Runs, Session
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.docker_api.file_archive import File
    from twelfth.model.hook import Hook
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Health, Replica


@dataclass(frozen=True)
class Creation:
    """What a container is created from: its body and its networks."""

    body: Body
    endpoints: Mapping[str, Body]
    platform: str = ""


class Docker(DaemonEngine, ReplicaEngine):
    """A stack on the daemon that the docker command line uses."""

    name = "docker"
    admission_seconds = 1.0  # for a proxy that resolves the name every half second and then checks the new replica

    def refuse_stack(self) -> None:
        """Raise `MisuseError` if an external network or volume does not exist."""
        self._refuse_absent(*self.stack.resources)

    def observe(self) -> Snapshot:
        """Return the project's containers, networks and volumes, the users of the networks, and the images."""
        with docker_errors():
            networks = self._networks()
            attached = daemon.attached(self.api, [network["Name"] for network in networks])
            observed = Snapshot(
                replicas=self._containers(),
                networks=tuple(map(snapshot.network, networks)),
                volumes=tuple(map(snapshot.volume, daemon.volumes(self.api, self._project))),
                images=frozenset(name for name in self.stack.image_names if images.inspect(self.api, name)),
                attachments=tuple(
                    snapshot.attachment(self.stack.project, network, listed) for network, listed in attached
                ),
                tries_replicas=True,
            )
            return self._with_others(observed)

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the service's containers."""
        with docker_errors():
            return self._containers(*([f"{COMPOSE}service={service}"] if service else []))

    def current(self, replica: Replica) -> Replica:
        """Return the current state of a container; the others of its service are not inspected."""
        with docker_errors():
            inspected = client.inspect_container(self.api, replica.id)
            return self._replica(inspected) if inspected else replica

    def create_replica(self, service: Service, number: int) -> Replica:
        """Create a container, join it to its networks except for those of its admission, and start it."""
        name = service.container_name or self._name(f"{service.name}-{number}")
        return self._create(name, self._creation(service, number))

    def create_candidate(self, service: Service, number: int) -> Replica:
        """Create a container without ports and its service's name, joined to all of its networks, and start it."""
        creation = self._creation(service.candidate, number)
        body = creation.body | {"Labels": creation.body["Labels"] | {CANDIDATE: "true"}}
        endpoints = bodies.nameless_endpoints(self.stack, service)
        return self._create(self._name(f"{service.name}-{number}"), Creation(body, endpoints, creation.platform))

    def prepare_replica(self, service: Service, number: int, old: Replica) -> Replica:
        """Create a container with the anonymous volumes of `old`, and record how to undo the replacement.

        As with Compose, data that an image keeps in a volume outlives its containers.
        """
        with docker_errors():
            inspected = self.api.inspect_container(old.id)
        creation = self._creation(service, number)
        labels = creation.body["Labels"] | succession.label(inspected)
        body = mounts.taking_over(creation.body | {"Labels": labels}, mounts.anonymous_volumes(inspected))
        name = succession.name_before(self._name(f"{service.name}-{number}"), old.id)
        return self._create(name, replace(creation, body=body), starts=False)

    def _creation(self, service: Service, number: int) -> Creation:
        service, files = self.supported(service), config_files.declared(service)
        labels = bodies.labels(self.stack, service, number, self._recipe(service, config_files.digests(files)))
        copies, label = self._copies(service.name, number, files, has_slot=bool(service.reload))
        body = bodies.body(self.stack, service, labels | label)
        with docker_errors():
            body |= {"HostConfig": namespaces.resolved(self.api, self.stack.project, body["HostConfig"])}
        body = self.config.protected(mounts.with_files(body, copies))
        return Creation(body, bodies.endpoints(self.stack, service), service.platform)

    def _copies(
        self, service: str, number: int, files: Mapping[str, File], *, has_slot: bool
    ) -> tuple[list[Body], dict[str, str]]:
        """Write a replica's configuration files, and return their mounts, and the label with its slot if it has one."""
        if not files:
            return [], {}
        if has_slot:
            slot = self.config.create_slot(service, number, files)
            return self.config.mounts(slot, files), {COPIES: slot}
        return self.config.mounts(self.config.place(service, files).directory, files), {}

    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Create a copy of a container, with a separate slot if the container has one."""
        with docker_errors():
            inspected = self.api.inspect_container(replica.id)
            image = images.inspect(self.api, inspected["Config"]["Image"])
            files = self.config.files_of(inspected) or self._copied(inspected, replica.service)
        has_slot = bool(config_files.slot_of(inspected))
        copies, label = self._copies(replica.service, number, files, has_slot=has_slot)
        labels = self._admission(inspected) | bodies.file_labels(config_files.digests(files)) | label
        body = bodies.clone(inspected, number, labels, copies)
        if image is None or image["Id"] != inspected["Image"]:  # the name now belongs to another image
            body |= {"Image": inspected["Image"]}
        endpoints = bodies.endpoints_of_clone(inspected, body["Labels"])
        return self._create(f"{self.stack.project}-{replica.service}-{number}", Creation(body, endpoints))

    def _copied(self, inspected: Body, service: str) -> dict[str, File]:
        return config_files.copied(self.api, inspected, self.stack.inline_files(service))

    def _admission(self, inspected: Body) -> dict[str, str]:
        """Return the label with the networks of a container's admission, which Compose does not set."""
        labels = inspected["Config"]["Labels"]
        service = self.stack.service(labels[f"{COMPOSE}service"])
        if ADMISSION in labels or service is None:
            return {}
        return {ADMISSION: json.dumps(bodies.admission_networks(self.stack, service))}

    def _create(self, name: str, creation: Creation, *, starts: bool = True) -> Replica:
        networks, others = client.split_networks(self.api, creation.endpoints)
        body = creation.body | networks
        with docker_errors():
            created = self.api.create_container_from_config(body, name, creation.platform or None)["Id"]
            try:
                client.join_networks(self.api, created, others)
                if starts:
                    self.api.start(created)
            except BaseException:
                self.api.remove_container(created, force=True, v=True)
                raise
            return self._replica(self.api.inspect_container(created))

    def admit_replica(self, replica: Replica) -> None:
        """Join a container to the networks of the services that depend on its service, under its service's name.

        If it was created on such a network, having no other, it leaves it for a moment: its connections break.
        """
        with docker_errors():
            inspected = self.api.inspect_container(replica.id)
            declared = bodies.declared_of(inspected)
            for network in snapshot.not_admitted_on(inspected):
                if network in inspected["NetworkSettings"]["Networks"]:
                    self.api.disconnect_container_from_network(replica.id, network)
                client.join_network(self.api, replica.id, network, bodies.endpoint(replica.service, declared, network))

    def withdraw_replica(self, replica: Replica) -> None:
        """Take a container from the networks of its admission, or its service's name there if it has no others."""
        with docker_errors(), gone_is_fine():
            inspected = self.api.inspect_container(replica.id)
            labels = inspected["Config"]["Labels"]
            before = bodies.endpoints_of_clone(inspected, labels)
            for network in {*json.loads(labels.get(ADMISSION) or "[]")} & {*inspected["NetworkSettings"]["Networks"]}:
                self.api.disconnect_container_from_network(replica.id, network)
                if network in before:
                    client.join_network(self.api, replica.id, network, before[network])

    def check_reload(self, service: Service, replica: Replica) -> None:
        """Run the service's check in a separate container on the replica's network."""
        reload.check(self.api, self.config, self.stack, service, replica)

    def reload_replica(self, service: Service, replica: Replica) -> None:
        """Write the container's configuration files if they pass the check, and send it the service's signal."""
        reload.reload(self.api, self.config, self.stack, service, replica)

    def restore_configuration(self, service: Service, replica: Replica) -> bool:
        """Write the files from before the last reload, and send the container the service's signal."""
        if service.reload is None:
            return super().restore_configuration(service, replica)
        return reload.restore(self.api, self.config, replica, service.reload.signal)

    def execute_hook(self, replica: Replica, hook: Hook) -> tuple[int, str]:
        """Execute the command in the container, as `docker exec` does."""
        with docker_errors():
            created = self.api.exec_create(
                replica.id,
                hook.command,
                user=hook.user,
                privileged=hook.privileged,
                workdir=hook.working_dir or None,
                environment=dict(hook.environment),
            )["Id"]
            with client.post_stream(self.api, f"/exec/{created}/start", {"Detach": False, "Tty": False}) as answer:
                output = healthcheck.last(piece for _, piece in multiplex.output(answer.raw.read1))
            return int(self.api.exec_inspect(created)["ExitCode"]), output

    def execute(self, replica: Replica, hook: Hook, *, tty: bool, interactive: bool) -> Session:
        """Start a command in the container."""
        return ExecSession(self.api, replica.id, hook, tty=tty, interactive=interactive)

    def addresses(self, replica: Replica) -> tuple[str, ...]:
        """Return the container's addresses on its networks."""
        with docker_errors():
            inspected = client.inspect_container(self.api, replica.id)
        networks = inspected["NetworkSettings"]["Networks"] if inspected else {}
        return tuple(settings["IPAddress"] for settings in networks.values() if settings.get("IPAddress"))

    def stop_replica(self, replica: Replica) -> None:
        """Stop a container with its grace period."""
        with docker_errors(), gone_is_fine():
            self.api.stop(replica.id, timeout=int(replica.recipe["stop_grace_period"].rstrip("s")))

    def restarts_with_daemon(self, replica: Replica) -> bool:
        """Return whether the restart policy is `always`; other policies leave a stopped container alone."""
        return replica.recipe.get("restart") == "always"

    def retire_replica(self, replica: Replica) -> None:
        """Stop a container, set its restart policy to `no`, and rename it, so that the new one can take its name."""
        self.stop_replica(replica)
        with docker_errors(), gone_is_fine():
            self._set_restart(replica.id, succession.NEVER)
            self._rename(replica.id, succession.name_after(self._name(replica.name), replica.id))

    def start_replica(self, replica: Replica) -> None:
        """Start a stopped or prepared container; one that replaces another takes its declared name if that is free."""
        with docker_errors():
            if replica.replaces:
                self._take_name(replica)
            self.api.start(replica.id)

    def _name(self, replica: str) -> str:
        return f"{self.stack.project}-{replica}"

    def _take_name(self, replica: Replica) -> None:
        declared = bodies.declared_of(self.api.inspect_container(replica.id)).get("container_name")
        name = str(declared or self._name(replica.name))
        if client.inspect_container(self.api, name) is None:
            self._rename(replica.id, name)

    def _set_restart(self, container: str, policy: Body) -> None:
        self.api.update_container(container, restart_policy=cast("Any", policy))  # the SDK's types lack some policies

    def _rename(self, container: str, name: str) -> None:
        if self.api.inspect_container(container)["Name"] != f"/{name}":
            self.api.rename(container, name)

    def remove_replica(self, replica: Replica) -> None:
        """Stop a container with its grace period, and remove it with its anonymous volumes.

        The daemon considers volumes that were taken over from another container named ones, so they are removed here.
        """
        self._pass_name_on(replica)
        self.stop_replica(replica)
        self._give_back(replica)
        anonymous: Mapping[str, str] = {}
        with docker_errors(), gone_is_fine():
            anonymous = mounts.anonymous_volumes(self.api.inspect_container(replica.id))
            self.api.remove_container(replica.id, v=True, force=True)
        for volume in anonymous.values():
            with contextlib.suppress(EngineError, BusyError), docker_errors():
                self.api.remove_volume(volume)
        reload.remove_check(self.api, self.stack, replica)
        config_files.remove_copies_of_checkout(self.api, self.stack)

    def _pass_name_on(self, old: Replica) -> None:
        """Give the declared name of a container to its replacement; before the removal, so that it can be repeated."""
        with docker_errors(), gone_is_fine():
            candidates = self._containers(f"{COMPOSE}service={old.service}", succession.REPLACES)
            for new in (replica for replica in candidates if replica.replaces == old.id):
                self._rename(old.id, succession.name_after(self._name(old.name), old.id))
                self._take_name(new)

    def _give_back(self, replica: Replica) -> None:
        """Restore the name and restart policy of the container that a stopped one replaces, if it still exists.

        The stopped one gets the policy `no` first, so that a restarting daemon starts only one of them.
        """
        old = client.inspect_container(self.api, replica.replaces) if replica.replaces else None
        with docker_errors(), gone_is_fine():
            if old:
                recorded = succession.replaced_by(self.api.inspect_container(replica.id))
                self._set_restart(replica.id, succession.NEVER)
                self._rename(replica.id, succession.name_before(self._name(replica.name), replica.replaces))
                self._rename(replica.replaces, recorded["name"])
                self._set_restart(replica.replaces, recorded["restart"])

    def clean_up(self) -> None:
        """Remove the contents of configuration files."""
        self.config.clear()
        config_files.remove_copies_of_checkout(self.api, self.stack)

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
        """The project's one-off containers."""
        return DockerRuns(self.api, self.stack, self.config)

    @functools.cached_property
    def state(self) -> StateVolume:
        """The state of the stack, in a volume of the daemon."""
        return StateVolume(self.api, self.stack.project)

    @functools.cached_property
    def config(self) -> ConfigFiles:
        """The configuration files of the project's containers."""
        return ConfigFiles(self.state)

    def _containers(self, *labels: str) -> tuple[Replica, ...]:
        filters = {"label": [self._project, f"{COMPOSE}oneoff=False", *labels]}
        listed = self.api.containers(all=True, filters=filters)
        containers = client.inspect_containers(self.api, listed)
        restored = succession.before_retirement(containers)
        return tuple(self._with_lost_namespaces(self._replica(container), container) for container in restored)

    def _with_lost_namespaces(self, replica: Replica, inspected: Body) -> Replica:
        """Mark the namespaces of containers that no longer exist in the recipe, so that the next `up` replaces it.

        They exist after an `up` that replaced a container, and failed before it replaced those in its namespace.
        """
        modes = {field: inspected["HostConfig"].get(field) or "" for field in namespaces.FIELDS}
        owners = {
            field: mode.removeprefix(namespaces.OF_CONTAINER)
            for field, mode in modes.items()
            if mode.startswith(namespaces.OF_CONTAINER)
        }
        lost = [field for field, owner in owners.items() if client.inspect_container(self.api, owner) is None]
        return replace(
            replica, recipe=replica.recipe | {namespaces.FIELDS[field]: "of a lost container" for field in lost}
        )

    def _replica(self, inspected: Body) -> Replica:
        release = inspected["Config"]["Labels"].get(RELEASE)
        may_have_name = release is None or (not release and self.stack.services and not self.stack.is_built)
        image = images.inspect(self.api, inspected["Image"]) if may_have_name else None
        copied = self._copied(inspected, inspected["Config"]["Labels"][f"{COMPOSE}service"])
        loaded = self.config.loaded(inspected)
        digests = config_files.loaded_digests(inspected, loaded) | config_files.digests(copied)
        replica = snapshot.replica(inspected, image, digests, client.remote_host(self.api), self._pulled)
        return replace(replica, is_reloadable=loaded is not None)
