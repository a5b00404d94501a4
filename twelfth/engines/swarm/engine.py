"""Run a stack as services of a Docker Swarm, which places, restarts and rolls out their tasks."""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.engines import healthcheck, multiplex
from twelfth.engines.contract import ServiceEngine
from twelfth.engines.docker_api import client, daemon, health, images, logs
from twelfth.engines.docker_api import snapshot as docker_snapshot
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine, one_line
from twelfth.engines.docker_api.exec_session import ExecSession
from twelfth.engines.swarm import config_files, registry, rolling, service_spec, snapshot
from twelfth.engines.swarm.nodes import Nodes
from twelfth.engines.swarm.rolling import Rolling
from twelfth.engines.swarm.runs import SwarmRuns
from twelfth.engines.swarm.snapshot import NAMESPACE
from twelfth.engines.swarm.state_configs import StateConfigs
from twelfth.errors import BusyError, EngineError, IdentityError, MisuseError, NotUpError
from twelfth.model.snapshot import Attachment, Health, Replica, Snapshot
from twelfth.model.stack import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import datetime

    import docker

    from twelfth.engines.contract import Runs, Say, Session
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.engines.state import State
    from twelfth.model.hook import Hook
    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Network

POLL = 0.1
"""Seconds between two checks of a service that is being rolled out."""

GONE_WITHIN = 30
"""Seconds that Swarm may take to release a service's networks and volumes after its containers have exited."""

BUSY = ("in use", "active endpoints", "not found")
"""Parts of the daemon's message for a network or volume that is still used, or is just being removed."""

LABELS = "node.labels."
"""Prefix of a constraint that requires a label of the node."""

READ_WITHIN = 10
"""Seconds to wait for the first piece of a task's log; the log of a lost node never arrives."""


class Swarm(DaemonEngine, ServiceEngine):
    """A stack on the Swarm whose manager is the daemon that the docker command line uses."""

    name = "swarm"

    def why_unavailable(self) -> str:
        """Return why there is no Swarm, or why this node cannot manage it."""
        if why := super().why_unavailable():
            return why
        try:
            with docker_errors():
                self.api.services(filters={"label": NAMESPACE})
        except EngineError as error:
            hint = "make one: docker swarm init; or run this on a manager: docker node ls"
            return f"the daemon is no manager of a Swarm ({one_line(str(error), 80)}); {hint}"
        return ""

    @functools.cached_property
    def state(self) -> State:
        """The state of the stack, in configuration objects of the Swarm."""
        return StateConfigs(self.api, self.stack.project)

    @functools.cached_property
    def nodes(self) -> Nodes:
        """The Swarm's nodes."""
        return Nodes(self.api, dict(self.stack.nodes))

    def refuse_stack(self) -> None:
        """Raise `MisuseError` for settings without support in Swarm, a missing registry or node label."""
        refused = [name for service in self.stack.services for name in service_spec.refusals(self.stack, service)]
        if refused:
            raise MisuseError(
                "\n".join(f"{name} is not supported by Swarm; remove it, or use docker" for name in refused)
            )
        super().refuse_stack()
        if len(self.nodes.all) > 1 and not registry.named():
            why = f"{len(self.nodes.all)} nodes need a registry to get this node's images"
            raise MisuseError(f"{why}; name one that all of them reach: REGISTRY=HOST:5000 invoke up")
        node_labels = [(node["Spec"].get("Labels") or {}) for node in self.nodes.all.values()]
        for service in self.stack.services:
            for name, value in _required_labels(service):
                if not any(labels.get(name) == value for labels in node_labels):
                    command = f"docker node update --label-add {name}={value} {self.nodes.name(self.nodes.local_id)}"
                    raise MisuseError(f"{service.name} needs a node with the label {name}={value}; try: {command}")

    def losses(self) -> tuple[str, ...]:
        """Return sentences on the declared protection that this version of Swarm does not enforce."""
        return tuple(
            loss for service in self.stack.services for loss in service_spec.losses(service, self.api.api_version)
        )

    def refuse_node(self, node: str) -> None:
        """Raise `MisuseError` for a node that does not exist or cannot be reached."""
        self.nodes.chosen(node)

    def observe(self) -> Snapshot:
        """Return the services' tasks, the networks, the volumes of reachable nodes and of services, and the images."""
        with docker_errors():
            services, networks = self._services(), self._networks()
            volumes = [volume for service in services for volume in snapshot.volumes(service)]
            for api in self.nodes.reachable().values():
                volumes += map(docker_snapshot.volume, daemon.volumes(api, self._project))
            return self._with_others(
                Snapshot(
                    replicas=self._replicas(services),
                    networks=tuple(map(docker_snapshot.network, networks)),
                    volumes=tuple({self.stack.engine_name(volume): volume for volume in volumes}.values()),
                    images=frozenset(name for name in self.stack.image_names if registry.reference(self.api, name)),
                    attachments=self._attachments(services, [network["Name"] for network in networks]),
                    rolls_services=True,
                )
            )

    def _networks(self) -> list[Body]:
        return [network for network in super()._networks() if network["Driver"] == "overlay"]

    def _with_others(self, observed: Snapshot) -> Snapshot:
        """Add the networks of other owners, but not their volumes, which could be on any node."""
        return replace(super()._with_others(observed), volumes=observed.volumes)

    def _attachments(self, services: list[Body], networks: list[str]) -> tuple[Attachment, ...]:
        names = {service["Spec"]["Name"]: snapshot.service_name(service) for service in services}
        return tuple(
            snapshot.attachment(names, network, listed)
            for api in self.nodes.reachable().values()
            for network, listed in daemon.attached(api, networks)
        )

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the service's tasks."""
        with docker_errors():
            return self._replicas(self._services(service))

    def recipe(self, service: Service) -> Recipe | None:
        """Return what a task of the service would be created from."""
        recipe = super().recipe(service_spec.supported(service, self.api.api_version))
        return recipe and recipe | snapshot.placement(service.constraints)

    def _digests(self, service: Service) -> dict[str, str]:
        return config_files.digests(config_files.declared(service))

    def ensure_image(self, service: Service, say: Say) -> None:
        """Build or pull the image, and push it to the registry, from which each node pulls it by its digest."""
        if images.inspect(self.api, service.image) is None or not registry.named():
            super().ensure_image(service, say)
        if registry.named() and not registry.reference(self.api, service.image):
            registry.push(self.api, service.image, say)

    def pull_image(self, service: Service, say: Say) -> None:
        """Pull the image, and push it to the operator's registry if there is one."""
        super().pull_image(service, say)
        if registry.named():
            registry.push(self.api, service.image, say)

    def remove_pulled(self, release: str, names: Collection[str]) -> bool:
        """Remove the image under these names and those that it has in the operator's registry."""
        pushed = [registry.in_registry(name).tagged for name in names] if registry.named() else []
        return super().remove_pulled(release, (*names, *pushed))

    def image_id(self, name: str) -> str:
        """Return the name by which each node gets the image, with its digest in the registry if there is one."""
        if not registry.named():
            return super().image_id(name)
        with docker_errors():
            return registry.reference(self.api, name)

    def create_resource(self, resource: Network | Volume) -> None:
        """Create a network, or a volume that only jobs use; Swarm creates the others, on the nodes of their tasks."""
        mounts = [mount for service in self.stack.services for mount in service.mounts if mount.kind == "volume"]
        if not isinstance(resource, Volume) or resource.name not in {mount.source for mount in mounts}:
            super().create_resource(resource)

    def _create_network(self, name: str, labels: dict[str, str], settings: Body) -> None:
        overlay = {"driver": "overlay", "attachable": True}
        super()._create_network(name, labels | {NAMESPACE: self.stack.project}, settings | overlay)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Remove a network once its tasks have exited, or a volume from every reachable node."""
        if not isinstance(resource, Volume):
            self._retry(lambda: super(Swarm, self).remove_resource(resource))
            return
        for api in self.nodes.reachable().values():
            self._retry(functools.partial(_remove_volume, api, self._project, self.stack.engine_name(resource)))

    def clean_up(self) -> None:
        """Remove the files of runs from every reachable node."""
        for api in self.nodes.reachable().values():
            config_files.remove_placed(api, self.stack.project)

    def roll_service(self, service: Service, within: float, say: Say) -> None:
        """Create or update the service, and watch it; roll it back if it fails and Swarm does not."""
        supported, files = service_spec.supported(service, self.api.api_version), config_files.declared(service)
        image = registry.reference(self.api, service.image) or service.image
        with docker_errors():
            references = config_files.references(self.api, self.stack.project, files)
            spec = service_spec.build(
                self.stack, supported, image, references, config_files.digests(files), ingress=self._has_ipvs
            )
            existing = self._services(service.name)
            if existing:
                self.api.update_service(existing[0]["ID"], existing[0]["Version"]["Index"], **spec)
            else:
                self.api.create_service(**spec)
        if service.ports and not self._has_ipvs:
            say("this kernel has no IPVS: only the nodes with a task publish the ports")
        self._watch(service, within, rolling.digest(spec["task_template"]), is_new=not existing)
        config_files.remove_unused(self.api, self.stack.project)

    def scale_service(self, service: Service, within: float, say: Say) -> None:  # noqa: ARG002 - it has no progress
        """Update only the number of replicas."""
        with docker_errors():
            current = self._service(service.name)
            mode = {"Replicated": {"Replicas": service.replicas}}
            self.api.update_service(current["ID"], current["Version"]["Index"], mode=mode, fetch_current_spec=True)
        self._watch(service, within, rolling.digest(current["Spec"]["TaskTemplate"]))

    def remove_service(self, service: str) -> None:
        """Remove the service, and wait for the exit of its containers on this node, which have their grace period."""
        name = service_spec.service_name(self.stack, service)
        with docker_errors(), gone_is_fine():
            self.api.remove_service(name)
        grace = max((declared.stop_grace for declared in self.stack.services), default=0.0)
        deadline = time.monotonic() + grace + GONE_WITHIN
        label = f"com.docker.swarm.service.name={name}"
        with docker_errors():
            while self.api.containers(filters={"label": label}) and time.monotonic() < deadline:
                time.sleep(POLL)
        config_files.remove_unused(self.api, self.stack.project)

    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield the output of the task's container, from its node's daemon if reachable, else from the manager."""
        with docker_errors():
            api, container, is_down = self._located(replica)
            if api and container:
                pieces = logs.output(api, container, follow=follow, last=last, since=since)
                yield from (data for _, data in pieces)
                return
            parameters = logs.parameters(follow=follow, last=last, since=since)
            begins_within = READ_WITHIN if is_down or not follow else None
            with client.stream(self.api, f"/tasks/{replica.id}/logs", parameters, begins_within) as answer:
                yield from (data for _, data in multiplex.output(answer.raw.read1))

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Run the healthcheck in the task's container if its node is reachable; else return what Swarm reports."""
        monitor = self.monitor(replica.service)
        with docker_errors(), gone_is_fine():
            api, container, _ = self._located(replica)
            if api and container and replica.is_running:
                return health.check_health(api, replace(replica, id=container), monitor, within)
        if replica.state != "running":
            return Health(is_ready=False, output=replica.state)
        return healthcheck.of_process(replica, lambda: self._running_seconds(replica), monitor)

    def execute(self, replica: Replica, hook: Hook, *, tty: bool, interactive: bool) -> Session:
        """Start a command in the task's container; raises `EngineError` if its node cannot be reached from here."""
        with docker_errors():
            api, container, _ = self._located(replica)
        if api is None or not container:
            hint = f"On its node: docker exec; for a new process: invoke run --service {replica.service} -- COMMAND"
            raise EngineError(f"cannot execute in {replica.name}: its node cannot be reached from here. {hint}")
        return ExecSession(api, container, hook, tty=tty, interactive=interactive)

    def _running_seconds(self, replica: Replica) -> float:
        with docker_errors(), gone_is_fine():
            started = self.api.inspect_task(replica.id)["Status"]["Timestamp"]
            return health.seconds_since(self.api, started)
        return 0.0

    def _located(self, replica: Replica) -> tuple[docker.APIClient | None, str, bool]:
        """Return the daemon of a task's node (None if unreachable), the container, and whether the node is down."""
        task = self.api.inspect_task(replica.id)
        node, status = task.get("NodeID") or "", task["Status"].get("ContainerStatus") or {}
        return self.nodes.client(node), status.get("ContainerID") or "", self.nodes.is_down(node)

    @functools.cached_property
    def runs(self) -> Runs:
        """The project's runs, which are containers."""
        return SwarmRuns(self.nodes, self.stack, self._inspected)

    def _services(self, service: str = "") -> list[Body]:
        services = self.api.services(filters={"label": f"{NAMESPACE}={self.stack.project}"})
        return [body for body in services if service in ("", snapshot.service_name(body))]

    def _service(self, service: str) -> Body:
        services = self._services(service)
        if not services:
            raise NotUpError(f"{service} is gone: it was removed. Try: invoke up")
        return services[0]

    def _tasks(self, services: list[Body]) -> list[Body]:
        ids = [service["ID"] for service in services]
        tasks: list[Body] = self.api.tasks(filters={"service": ids}) if ids else []
        return sorted(tasks, key=lambda task: str(task["CreatedAt"]))

    def _network_names(self) -> dict[str, str]:
        """Return the names of all overlay networks by id: a task may be on a network of another owner."""
        return {network["Id"]: network["Name"] for network in self.api.networks(filters={"driver": "overlay"})}

    def _replicas(self, services: list[Body]) -> tuple[Replica, ...]:
        by_id = {service["ID"]: service for service in services}
        tasks, networks = self._tasks(services), self._network_names()
        current = [task for task in tasks if task["DesiredState"] in {"running", "ready"}]
        names = {task["Spec"]["ContainerSpec"]["Image"] for task in current}
        inspected_images = {name: images.inspect(self.api, name) or {} for name in names}
        return tuple(
            snapshot.replica(
                task,
                service := by_id[task["ServiceID"]],
                [predecessor for predecessor in tasks if _slot(predecessor) == _slot(task)],
                self.nodes.all.get(task.get("NodeID") or ""),
                service_spec.inspected(
                    task["Spec"], service, inspected_images[task["Spec"]["ContainerSpec"]["Image"]], networks
                ),
            )
            for task in current
        )

    def _inspected(self, api: docker.APIClient, replica: Replica) -> Body:
        """Return what a run on a node is made from: the task's specification, with the image of that node."""
        with docker_errors(), gone_is_fine():
            task = self.api.inspect_task(replica.id)
            if names := service_spec.secrets(task["Spec"]):
                why = f"has secrets that only tasks of a Swarm can get ({', '.join(names)})"
                raise IdentityError(f"{replica.name} {why}; declare them as files, then: invoke up")
            if services := self._services(replica.service):
                image = registry.pulled(api, task["Spec"]["ContainerSpec"]["Image"])
                return service_spec.inspected(task["Spec"], services[0], image, self._network_names())
        raise NotUpError(f"{replica.name} is gone; repeat the command")

    @functools.cached_property
    def _has_ipvs(self) -> bool:
        """Whether the kernel can balance the load of an address; only this machine's kernel can be checked."""
        return Path("/proc/net/ip_vs").exists() or Path("/sys/module/ip_vs").exists()

    def _watch(self, service: Service, within: float, digest: str, *, is_new: bool = False) -> None:
        """Return when only the service's new replicas run; else roll back and raise `EngineError`."""
        deadline, most, started = time.monotonic() + within, 0, time.time()
        while True:
            with docker_errors():
                current = self._service(service.name)
                update = Rolling(current, tuple(self._tasks([current])), digest, started)
            if update.is_done(service.replicas):
                return
            if update.is_given_up or time.monotonic() > deadline:
                self._roll_back(update, is_new=is_new)
                rest = "it was removed" if is_new else "it was rolled back to what ran before"
                why = update.why(service.name, within, self._last_line(update.last_task))
                raise EngineError(f"{why}; {rest}. Fix that, then repeat the command")
            if update.running > most:
                most, deadline = update.running, time.monotonic() + within + 2 * service.monitor
            time.sleep(POLL)

    def _last_line(self, task: Body | None) -> str:
        with contextlib.suppress(EngineError):
            pieces = self.logs(Replica("", 0, task["ID"], "", {}), follow=False, last=1) if task else []
            return b"".join(pieces).decode(errors="replace").strip()
        return ""

    def _roll_back(self, update: Rolling, *, is_new: bool) -> None:
        """Remove a new service, and roll an existing one back unless Swarm does that itself."""
        current = update.service
        with docker_errors(), gone_is_fine():
            if is_new:
                self.api.remove_service(current["ID"])
            elif "PreviousSpec" in current and not update.state.startswith("rollback"):
                parameters = {"version": current["Version"]["Index"], "rollback": "previous"}
                client.post(self.api, f"/services/{current['ID']}/update", current["PreviousSpec"], parameters)

    @staticmethod
    def _retry(work: Callable[[], None]) -> None:
        """Repeat a removal that the daemon refuses while a container that is just exiting uses the resource."""
        deadline = time.monotonic() + GONE_WITHIN
        while True:
            try:
                return work()
            except (EngineError, BusyError) as error:
                if not any(words in str(error) for words in BUSY) or time.monotonic() > deadline:
                    raise
            time.sleep(POLL)


def _required_labels(service: Service) -> list[tuple[str, str]]:
    constraints = [constraint.replace(" ", "") for constraint in service.constraints]
    pairs = (text.removeprefix(LABELS).partition("==") for text in constraints if text.startswith(LABELS))
    return [(name, value) for name, _, value in pairs if value]


def _slot(task: Body) -> tuple[str, int | None]:
    """Return the service and number of a task, which it shares with those that it replaced."""
    return task["ServiceID"], task.get("Slot")


def _remove_volume(api: docker.APIClient, project: str, name: str) -> None:
    with docker_errors(), gone_is_fine():
        daemon.remove_volume(api, project, name)
