"""A stack as containers of a Docker Engine, reached through the Docker SDK for Python."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.engines.contract import Engine
from twelfth.engines.docker import client, configs, health, images, pause, recipe, reload, snapshot
from twelfth.engines.docker import replica as bodies
from twelfth.engines.docker.errors import docker_errors, gone_is_fine
from twelfth.engines.docker.replica import COMPOSE, COPIES
from twelfth.engines.docker.runs import DockerRuns
from twelfth.errors import EngineError
from twelfth.model.snapshot import Snapshot
from twelfth.model.stack import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    import docker

    from twelfth.engines.contract import Runs, Say
    from twelfth.engines.docker.replica import Body
    from twelfth.model.release import BuiltRelease
    from twelfth.model.snapshot import Health, Recipe, Replica
    from twelfth.model.stack import Service, Volume


class Docker(Engine):
    """The stack on the daemon that the docker command line would talk to."""

    name = "docker"
    admission_seconds = 1.0  # who looks a name up again every half second, and checks what is new, has found it then

    @functools.cached_property
    def api(self) -> docker.APIClient:
        """Return the low-level client, connected; raises `EngineError` where no daemon answers."""
        return client.connect()

    def why_unavailable(self) -> str:
        """Return why no daemon can be used."""
        try:
            self.api  # noqa: B018 - connecting is the question
        except EngineError as error:
            return str(error)
        return ""

    def observe(self) -> Snapshot:
        """Return the project's containers, networks and volumes, and which images are here."""
        with docker_errors():
            project = {"label": self._project}
            return Snapshot(
                replicas=self._containers(),
                networks=tuple(map(snapshot.network, self.api.networks(filters=project))),
                volumes=tuple(map(snapshot.volume, self.api.volumes(filters=project)["Volumes"] or [])),
                images=frozenset(one.image for one in self.stack.services if images.inspect(self.api, one.image)),
            )

    def replicas(self, service: str) -> tuple[Replica, ...]:
        """Return the service's containers."""
        with docker_errors():
            return self._containers(f"{COMPOSE}service={service}")

    def recipe(self, service: Service) -> Recipe:
        """Return what a container of the service would be made from: its image's content, its settings, its files."""
        return self._recipe(service, configs.read(service))

    def _recipe(self, service: Service, contents: Mapping[str, bytes]) -> Recipe:
        with docker_errors():
            image = images.inspect(self.api, service.image)
            return recipe.wanted_recipe(self.stack, service, image, configs.digests(contents))

    def ensure_image(self, service: Service, say: Say) -> None:
        """Build the service's image from its context, or pull it."""
        with docker_errors(f"cannot {'build' if service.build else 'pull'} {service.image}"):
            for line in self._build_or_pull(service):
                say(line)

    def create_resource(self, resource: Network | Volume) -> None:
        """Make a network or volume, labelled as Compose would."""
        name = f"{self.stack.project}_{resource.name}"
        labels = {f"{COMPOSE}project": self.stack.project, f"{COMPOSE}{resource.kind}": resource.name}
        with docker_errors():
            if isinstance(resource, Network):
                self.api.create_network(name, internal=resource.internal, labels=labels, check_duplicate=True)
            else:
                self.api.create_volume(name, labels=labels)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Remove a network or volume."""
        name = f"{self.stack.project}_{resource.name}"
        with docker_errors(), gone_is_fine():
            if isinstance(resource, Network):
                pause.remove_all(self.api, self.stack.project)
                self.api.remove_network(name)
            else:
                self.api.remove_volume(name)

    def create_replica(self, service: Service, number: int) -> Replica:
        """Create a container, join it to its networks but those on which others look for it, start it."""
        contents, copies = configs.read(service), configs.copies(self.stack, service.name, number)
        copies.write(service, contents)
        labels = bodies.labels(self.stack, service, number, self._recipe(service, contents))
        own = labels | ({COPIES: str(copies.home)} if contents else {})
        body = bodies.body(self.stack, copies.mounted_by(service), own)

        def keep(created: str) -> None:
            if contents:
                copies.keep(created, configs.digests(contents))

        return self._create(f"{service.name}-{number}", body, bodies.endpoints(self.stack, service), keep)

    def clone_replica(self, replica: Replica, number: int) -> Replica:
        """Create a container as another was created."""
        with docker_errors():
            inspected = self.api.inspect_container(replica.id)
            image = images.inspect(self.api, inspected["Config"]["Image"])
        body = bodies.clone(inspected, number)
        if image is None or image["Id"] != inspected["Image"]:  # that name means something else by now
            body |= {"Image": inspected["Image"]}
        return self._create(f"{replica.service}-{number}", body, bodies.endpoints_of_clone(inspected))

    def _create(
        self,
        name: str,
        body: Body,
        endpoints: Mapping[str, Body],
        before_start: Callable[[str], None] = lambda _: None,
    ) -> Replica:
        with docker_errors():
            first, others = [*endpoints.items()][:1], [*endpoints.items()][1:]
            body = body | {"NetworkingConfig": {"EndpointsConfig": dict(first)}}
            created = self.api.create_container_from_config(body, f"{self.stack.project}-{name}")["Id"]
            try:
                before_start(created)
                for network, endpoint in others:
                    self.api.connect_container_to_network(created, network, aliases=endpoint["Aliases"])
                self.api.start(created)
            except BaseException:
                self.api.remove_container(created, force=True, v=True)
                raise
            return self._replica(self.api.inspect_container(created))

    def admit_replica(self, replica: Replica) -> None:
        """Join a container to the networks of the services that depend on its own, under its service's name.

        Where it is on such a network already, for want of another, it leaves it for a moment: its connections break.
        """
        with docker_errors():
            inspected = self.api.inspect_container(replica.id)
            for network in snapshot.not_admitted_on(inspected):
                if network in inspected["NetworkSettings"]["Networks"]:
                    self.api.disconnect_container_from_network(replica.id, network)
                self.api.connect_container_to_network(replica.id, network, aliases=[replica.service])

    def check_reload(self, service: Service, replica: Replica) -> None:
        """Run the service's check in a container of its own, within the replica's network."""
        reload.check(self.api, self.stack, service, replica, configs.read(service))

    def reload_replica(self, service: Service, replica: Replica) -> None:
        """Write the container's configuration files, where they pass the check, and send it the service's signal."""
        if service.reload is None:
            super().reload_replica(service, replica)
        else:
            reload.reload(self.api, self.stack, service, replica, service.reload.signal)

    def stop_replica(self, replica: Replica) -> None:
        """Stop a container with its grace period."""
        with docker_errors(), gone_is_fine():
            self.api.stop(replica.id, timeout=int(replica.recipe["stop_grace_period"].rstrip("s")))

    def start_replica(self, replica: Replica) -> None:
        """Start a container that was stopped."""
        with docker_errors():
            self.api.start(replica.id)

    def remove_replica(self, replica: Replica) -> None:
        """Stop a container with its grace period and remove it with its anonymous volumes."""
        self.stop_replica(replica)
        with docker_errors(), gone_is_fine():
            self.api.remove_container(replica.id, v=True, force=True)
        reload.remove_check(self.api, self.stack, replica)
        if not self.replicas(replica.service):  # a run may still be made from one that was removed by a deploy
            shutil.rmtree(configs.home(self.stack, replica.service), ignore_errors=True)

    def releases(self) -> tuple[BuiltRelease, ...]:
        """Return the images of the first service that the stack builds."""
        first = next(iter(self._repositories), "")
        with docker_errors():
            found = self.api.images(first) if first else []
        built = [one for each in found for one in snapshot.releases(each, first)]
        return tuple(sorted(built, key=lambda each: each.built, reverse=True))

    def remove_release(self, release: str) -> bool:
        """Remove images that no container was made from, ended runs apart: their records need none."""
        images = [f"{repository}:{release}" for repository in self._repositories]
        with docker_errors():
            users = [each for image in images for each in self.api.containers(all=True, filters={"ancestor": image})]
            if not all(snapshot.is_ended_run(each) for each in users):
                return False
            for image in images:
                with gone_is_fine():
                    self.api.remove_image(image, force=True)
        return True

    @property
    def _repositories(self) -> tuple[str, ...]:
        """Return the names of the images that the stack builds, without their tags."""
        names = (each.image.rpartition(":")[0] or each.image for each in self.stack.services if each.build)
        return tuple(dict.fromkeys(names))

    def logs(
        self, replica: Replica, *, follow: bool, last: int | None = None, since: datetime | None = None
    ) -> Iterator[bytes]:
        """Yield what the container wrote on both streams."""
        from twelfth.engines.docker import logs

        with docker_errors():
            yield from (data for _, data in logs.output(self.api, replica.id, follow=follow, last=last, since=since))

    def check_health(self, replica: Replica) -> Health:
        """Run the container's healthcheck in it."""
        return health.check_health(self.api, replica)

    @functools.cached_property
    def runs(self) -> Runs:
        """Return the project's one-off containers."""
        return DockerRuns(self.api, self.stack)

    @property
    def _project(self) -> str:
        return f"{COMPOSE}project={self.stack.project}"

    def _containers(self, *labels: str) -> tuple[Replica, ...]:
        wanted = {"label": [self._project, f"{COMPOSE}oneoff=False", *labels]}
        listed = self.api.containers(all=True, filters=wanted)
        found = [one for each in listed if (one := client.inspect_container(self.api, each["Id"]))]
        return tuple(map(self._replica, found))

    def _replica(self, inspected: Body) -> Replica:
        image = None if snapshot.is_labelled(inspected) else images.inspect(self.api, inspected["Image"])
        found = snapshot.replica(inspected, image, configs.loaded(inspected))
        own = configs.copies(self.stack, found.service, found.number)
        return replace(found, is_reloadable=configs.are_writable(inspected, own))

    def _build_or_pull(self, service: Service) -> Iterator[str]:
        if service.build:
            return images.build(self.api, service.image, service.build)
        return images.pull(self.api, service.image)
