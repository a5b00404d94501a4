"""A stack as services of a Docker Swarm, which places, restarts and rolls their tasks; we tell it what, and watch."""

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
from twelfth.engines.swarm import config_files, registry, rolling, service_spec, snapshot
from twelfth.engines.swarm.nodes import Nodes
from twelfth.engines.swarm.rolling import Rolling
from twelfth.engines.swarm.runs import SwarmRuns
from twelfth.engines.swarm.snapshot import NAMESPACE
from twelfth.errors import BusyError, EngineError, IdentityError, MisuseError, NotUpError
from twelfth.model.snapshot import Attachment, Health, Replica, Snapshot
from twelfth.model.stack import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import docker

    from twelfth.engines.contract import Runs, Say
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Network, Service

ASK_EVERY = 0.1
"""Seconds between two looks at a service that is rolled."""

GONE_WITHIN = 30
"""Seconds that Swarm may take to remove what a service had, after its containers have ended."""

GOING = ("in use", "active endpoints", "not found")
"""What the daemon says of a network or volume that something still has, or that is about to go by itself."""

LABELS = "node.labels."
"""Beginning of a constraint that asks for a label of the node's."""

READ_WITHIN = 10
"""Seconds that a task's log has to begin; that of a lost node never does."""


class Swarm(DaemonEngine, ServiceEngine):
    """The stack on the Swarm of the daemon that the docker command line would talk to, which is one of its managers."""

    name = "swarm"

    def why_unavailable(self) -> str:
        """Return why there is no Swarm here, or why this node cannot tell it anything."""
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
    def nodes(self) -> Nodes:
        """Return the Swarm's nodes."""
        return Nodes(self.api, dict(self.stack.nodes))

    def refuse_stack(self) -> None:
        """Refuse what Swarm cannot hold, images that only one of several nodes has, and a node that is not there."""
        refused = [name for service in self.stack.services for name in service_spec.refusals(self.stack, service)]
        if refused:
            raise MisuseError("\n".join(f"{name} is not held by Swarm; remove it, or use docker" for name in refused))
        super().refuse_stack()
        if len(self.nodes.all) > 1 and not registry.named():
            why = f"{len(self.nodes.all)} nodes cannot have the images of this one without a registry"
            raise MisuseError(f"{why}; name one that all of them reach: REGISTRY=HOST:5000 invoke up")
        labels = [(node["Spec"].get("Labels") or {}) for node in self.nodes.all.values()]
        for service, label in ((each, label) for each in self.stack.services for label in _labels(each)):
            if not any(each.get(label[0]) == label[1] for each in labels):
                way = f"docker node update --label-add {'='.join(label)} {self.nodes.name(self.nodes.own)}"
                raise MisuseError(f"{service.name} wants a node with the label {'='.join(label)}; choose one: {way}")

    def losses(self) -> tuple[str, ...]:
        """Return what this version of Swarm does not hold of the declared protection."""
        return tuple(
            loss for service in self.stack.services for loss in service_spec.losses(service, self.api.api_version)
        )

    def refuse_node(self, node: str) -> None:
        """Refuse a node that is not there or cannot be reached."""
        self.nodes.chosen(node)

    def observe(self) -> Snapshot:
        """Return the services' tasks, the networks, the volumes that can be seen or that a service has, the images."""
        with docker_errors():
            services, networks = self._services(), self._networks()
            found = [daemon.volumes(api, self._project) for api in self.nodes.reachable().values()]
            volumes = [volume for each in services for volume in snapshot.volumes(each)]
            volumes += [docker_snapshot.volume(each) for here in found for each in here]
            return self._with_others(
                Snapshot(
                    replicas=self._replicas(services),
                    networks=tuple(map(docker_snapshot.network, networks)),
                    volumes=tuple({self.stack.engine_name(volume): volume for volume in volumes}.values()),
                    images=frozenset(
                        one.image for one in self.stack.services if registry.reference(self.api, one.image)
                    ),
                    attachments=self._attachments(services, [each["Name"] for each in networks]),
                    rolls_services=True,
                )
            )

    def _networks(self) -> list[Body]:
        return [each for each in super()._networks() if each["Driver"] == "overlay"]

    def _with_others(self, found: Snapshot) -> Snapshot:
        """Return a snapshot that includes networks of other owners; their volumes could be on any node."""
        return replace(super()._with_others(found), volumes=found.volumes)

    def _attachments(self, services: list[Body], networks: list[str]) -> tuple[Attachment, ...]:
        """Return the containers on networks, on the reachable nodes."""
        names = {each["Spec"]["Name"]: snapshot.service_name(each) for each in services}
        found = [each for api in self.nodes.reachable().values() for each in daemon.attached(api, networks)]
        return tuple(snapshot.attachment(names, network, listed) for network, listed in found)

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the service's tasks."""
        with docker_errors():
            return self._replicas(self._services(service))

    def recipe(self, service: Service) -> Recipe | None:
        """Return what a task of the service would be made from."""
        recipe = super().recipe(service_spec.held(service, self.api.api_version))
        return recipe and recipe | snapshot.placement(service.constraints)

    def _digests(self, service: Service) -> dict[str, str]:
        return config_files.digests(config_files.declared(service))

    def ensure_image(self, service: Service, say: Say) -> None:
        """Build or pull the image, and give it to the registry, from which every node has it by its digest."""
        if images.inspect(self.api, service.image) is None or not registry.named():
            super().ensure_image(service, say)
        if registry.named() and not registry.reference(self.api, service.image):
            registry.push(self.api, service.image, say)

    def create_resource(self, resource: Network | Volume) -> None:
        """Make a network; a volume is made by Swarm, on the node where its task goes."""
        if not isinstance(resource, Volume):
            super().create_resource(resource)

    def _create_network(self, name: str, labels: dict[str, str], settings: Body) -> None:
        own = {"driver": "overlay", "attachable": True}
        super()._create_network(name, labels | {NAMESPACE: self.stack.project}, settings | own)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Remove a network when its tasks have gone, or a volume from every node that can be reached."""
        if not isinstance(resource, Volume):
            self._retry(lambda: super(Swarm, self).remove_resource(resource))
            return
        for api in self.nodes.reachable().values():
            self._retry(functools.partial(_remove_volume, api, self._project, self.stack.engine_name(resource)))

    def clean_up(self) -> None:
        """Remove the files of runs from every node that can be reached."""
        for api in self.nodes.reachable().values():
            self._retry(functools.partial(config_files.remove_placed, api, self.stack.project))

    def roll_service(self, service: Service, within: float, say: Say) -> None:
        """Create or update the service, and watch it; where Swarm does not roll a failure back, we do."""
        held, own = service_spec.held(service, self.api.api_version), config_files.declared(service)
        image = registry.reference(self.api, service.image) or service.image
        with docker_errors():
            references = config_files.references(self.api, self.stack.project, own)
            wanted = service_spec.build(
                self.stack, held, image, references, config_files.digests(own), ingress=self._has_ipvs
            )
            found = self._services(service.name)
            if found:
                self.api.update_service(found[0]["ID"], found[0]["Version"]["Index"], **wanted)
            else:
                self.api.create_service(**wanted)
        if service.ports and not self._has_ipvs:
            say("no IPVS in this kernel: its ports are those of the node where it runs")
        self._watch(service, within, rolling.digest(wanted["task_template"]), is_new=not found)
        config_files.remove_unused(self.api, self.stack.project)

    def scale_service(self, service: Service, within: float, say: Say) -> None:  # noqa: ARG002 - nothing to tell
        """Update the number of replicas alone."""
        with docker_errors():
            found = self._service(service.name)
            mode = {"Replicated": {"Replicas": service.replicas}}
            self.api.update_service(found["ID"], found["Version"]["Index"], mode=mode, fetch_current_spec=True)
        self._watch(service, within, rolling.digest(found["Spec"]["TaskTemplate"]))

    def remove_service(self, service: str) -> None:
        """Remove the service; its containers have their grace period, which is waited for on our own node."""
        name = service_spec.service_name(self.stack, service)
        with docker_errors(), gone_is_fine():
            self.api.remove_service(name)
        grace = max((each.stop_grace for each in self.stack.services), default=0.0)
        mine, deadline = {"label": f"com.docker.swarm.service.name={name}"}, time.monotonic() + grace + GONE_WITHIN
        with docker_errors():
            while self.api.containers(filters=mine) and time.monotonic() < deadline:
                time.sleep(ASK_EVERY)
        config_files.remove_unused(self.api, self.stack.project)

    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield what the task's container wrote, asked of its node's daemon, or of the task: no other can break it."""
        with docker_errors():
            api, container, is_down = self._located(replica)
            if api and container:
                pieces = logs.output(api, container, follow=follow, last=last, since=since)
                yield from (data for _, data in pieces)
                return
            wanted = logs.parameters(follow=follow, last=last, since=since)
            begins_within = READ_WITHIN if is_down or not follow else None
            with client.stream(self.api, f"/tasks/{replica.id}/logs", wanted, begins_within) as answer:
                yield from (data for _, data in multiplex.output(answer.raw.read1))

    def check_health(self, replica: Replica, within: float | None = None) -> Health:
        """Run the healthcheck in the task's container where its node can be reached; else believe Swarm."""
        monitor = self.monitor(replica.service)
        with docker_errors(), gone_is_fine():
            api, container, _ = self._located(replica)
            if api and container and replica.is_running:
                return health.check_health(api, replace(replica, id=container), monitor, within)
        if replica.state != "running":
            return Health(is_ready=False, output=replica.state)
        return healthcheck.of_process(replica, lambda: self._running_seconds(replica), monitor)

    def _running_seconds(self, replica: Replica) -> float:
        """Return the seconds that a task has run, as its node reported to the manager; 0 if it was removed."""
        with docker_errors(), gone_is_fine():
            began = self.api.inspect_task(replica.id)["Status"]["Timestamp"]
            return health.seconds_since(self.api, began)
        return 0.0

    def _located(self, replica: Replica) -> tuple[docker.APIClient | None, str, bool]:
        """Return the daemon of a task's node, None where it is not reached, the container, whether the node is down."""
        task = self.api.inspect_task(replica.id)
        node, status = task.get("NodeID") or "", task["Status"].get("ContainerStatus") or {}
        return self.nodes.client(node), status.get("ContainerID") or "", self.nodes.is_down(node)

    @functools.cached_property
    def runs(self) -> Runs:
        """Return the project's one-off containers."""
        return SwarmRuns(self.nodes, self.stack, self._inspected)

    def _services(self, service: str = "") -> list[Body]:
        found = self.api.services(filters={"label": f"{NAMESPACE}={self.stack.project}"})
        return [each for each in found if service in ("", snapshot.service_name(each))]

    def _service(self, service: str) -> Body:
        """Return the service as the API tells it; raises `NotUpError` where it is gone."""
        found = self._services(service)
        if not found:
            raise NotUpError(f"{service} is gone; somebody removed it; try: invoke up")
        return found[0]

    def _tasks(self, services: list[Body]) -> list[Body]:
        found: list[Body] = self.api.tasks(filters={"service": [each["ID"] for each in services]}) if services else []
        return sorted(found, key=lambda task: str(task["CreatedAt"]))

    def _network_names(self) -> dict[str, str]:
        """Return the names of the Swarm's networks by id; a task may be on one that is somebody else's."""
        return {each["Id"]: each["Name"] for each in self.api.networks(filters={"driver": "overlay"})}

    def _replicas(self, services: list[Body]) -> tuple[Replica, ...]:
        by_id, tasks, networks = {each["ID"]: each for each in services}, self._tasks(services), self._network_names()
        wanted = [each for each in tasks if each["DesiredState"] in {"running", "ready"}]
        names = {each["Spec"]["ContainerSpec"]["Image"] for each in wanted}
        here = {name: images.inspect(self.api, name) or {} for name in names}
        return tuple(
            snapshot.replica(
                task,
                service := by_id[task["ServiceID"]],
                [each for each in tasks if (each["ServiceID"], each.get("Slot")) == (service["ID"], task.get("Slot"))],
                self.nodes.all.get(task.get("NodeID") or ""),
                service_spec.inspected(task["Spec"], service, here[task["Spec"]["ContainerSpec"]["Image"]], networks),
            )
            for task in wanted
        )

    def _inspected(self, api: docker.APIClient, replica: Replica) -> Body:
        """Return what a run on a node is made from: what the task's specification says, the image as it is there."""
        with docker_errors(), gone_is_fine():
            task = self.api.inspect_task(replica.id)
            if names := service_spec.secrets(task["Spec"]):
                why = f"has secrets that only a Swarm's tasks are given ({', '.join(names)})"
                raise IdentityError(f"{replica.name} {why}; declare them as files, then: invoke up")
            if found := self._services(replica.service):
                image = registry.pulled(api, task["Spec"]["ContainerSpec"]["Image"])
                return service_spec.inspected(task["Spec"], found[0], image, self._network_names())
        raise NotUpError(f"{replica.name} is gone; repeat the command")

    @functools.cached_property
    def _has_ipvs(self) -> bool:
        """Return whether the kernel can spread what comes for one address; only this machine's can be looked at."""
        return Path("/proc/net/ip_vs").exists() or Path("/sys/module/ip_vs").exists()

    def _watch(self, service: Service, within: float, digest: str, *, is_new: bool = False) -> None:
        """Return when the service's replicas, and only they, serve; raises `EngineError` when they will not."""
        deadline, most, began = time.monotonic() + within, 0, time.time()
        while True:
            with docker_errors():
                found = self._service(service.name)
                now = Rolling(found, tuple(self._tasks([found])), digest, began)
            if now.is_done(service.replicas):
                return
            if now.is_given_up or time.monotonic() > deadline:
                self._take_back(now, is_new=is_new)
                rest = "it was removed" if is_new else "what served serves on"
                why = now.why(service.name, within, self._last_words(now.last_task))
                raise EngineError(f"{why}; {rest}; fix that, then: invoke up")
            if now.serving > most:
                most, deadline = now.serving, time.monotonic() + within + 2 * service.monitor
            time.sleep(ASK_EVERY)

    def _last_words(self, task: Body | None) -> str:
        """Return the last line that a task printed, an empty string where there is none or it cannot be had."""
        with contextlib.suppress(EngineError):
            pieces = self.logs(Replica("", 0, task["ID"], "", {}), follow=False, last=1) if task else []
            return b"".join(pieces).decode(errors="replace").strip()
        return ""

    def _take_back(self, now: Rolling, *, is_new: bool) -> None:
        """Remove a service that was not there before, and roll one back that Swarm does not roll back by itself."""
        found = now.service
        with docker_errors(), gone_is_fine():
            if is_new:
                self.api.remove_service(found["ID"])
            elif "PreviousSpec" in found and not now.state.startswith("rollback"):
                wanted = {"version": found["Version"]["Index"], "rollback": "previous"}
                client.post(self.api, f"/services/{found['ID']}/update", found["PreviousSpec"], wanted)

    @staticmethod
    def _retry(work: Callable[[], None]) -> None:
        """Do what the daemon refuses for as long as something that is about to go still uses it."""
        deadline = time.monotonic() + GONE_WITHIN
        while True:
            try:
                return work()
            except (EngineError, BusyError) as error:
                if not any(each in str(error) for each in GOING) or time.monotonic() > deadline:
                    raise
            time.sleep(ASK_EVERY)


def _labels(service: Service) -> list[tuple[str, str]]:
    """Return the labels that a service wants its node to have."""
    wanted = [each.replace(" ", "") for each in service.constraints]
    pairs = (each.removeprefix(LABELS).partition("==") for each in wanted if each.startswith(LABELS))
    return [(name, value) for name, _, value in pairs if value]


def _remove_volume(api: docker.APIClient, project: str, name: str) -> None:
    with docker_errors(), gone_is_fine():
        if any(each["Name"] == name for each in daemon.volumes(api, project)):
            api.remove_volume(name)
