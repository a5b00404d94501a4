"""What engines with a Docker daemon have in common: client, images, releases, networks and volumes."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from docker.errors import APIError
from docker.utils import version_lt

from twelfth.compose import container_keys
from twelfth.engines import tcp
from twelfth.engines.contract import Engine
from twelfth.engines.docker_api import buildkit, client, config_files, images, ports, recipe, snapshot
from twelfth.engines.docker_api.container_spec import COMPOSE, KEPT, SETTINGS, network_settings
from twelfth.engines.docker_api.errors import docker_errors, gone_is_fine
from twelfth.engines.docker_api.run_spec import RUN
from twelfth.errors import BusyError, EngineError, MisuseError
from twelfth.model.image_name import image_name
from twelfth.model.job import OF_JOB
from twelfth.model.pin import Pin
from twelfth.model.snapshot import missing_resources
from twelfth.model.stack import Network, Volume

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import docker

    from twelfth.engines.contract import Say
    from twelfth.engines.docker_api.container_spec import Body
    from twelfth.model.service import Port, Service
    from twelfth.model.snapshot import BuiltRelease, Recipe, Replica, Snapshot
    from twelfth.model.stack import Stack

HAS_START_INTERVAL = "1.44"
"""The first version of the API that supports `start_interval` of a healthcheck."""

SHARED = ("api", "state")
"""Attributes that do not depend on the declaration of a stack."""

PAUSE = "twelfth.pause"
"""Label of idle containers on a stack's networks, which versions before 0.3 created to start runs faster."""


class DaemonEngine(Engine):
    """A stack on the daemon that the docker command line uses."""

    @functools.cached_property
    def api(self) -> docker.APIClient:
        """The connected low-level client; raises `EngineError` if no daemon answers."""
        return client.connect()

    def with_stack(self, stack: Stack) -> Self:
        """Return an engine that uses the same client and what was read of the state."""
        engine = super().with_stack(stack)
        vars(engine).update({name: value for name, value in vars(self).items() if name in SHARED})
        return engine

    def why_unavailable(self) -> str:
        """Return why no daemon can be used."""
        try:
            self.api  # noqa: B018 - this connects
        except EngineError as error:
            return str(error)
        return ""

    def why_taken(self, port: Port, leaving: Sequence[Replica] = ()) -> str:
        """Return why a new container cannot publish a port on the daemon's machine, or "".

        Asks the daemon what its containers publish. Other listeners are only found if that machine is this one.
        """
        with docker_errors():
            users = [container for container in self.api.containers() if ports.publishes(container, port)]
        leaving_services = {(self.stack.project, replica.service) for replica in leaving}
        others = [container for container in users if ports.owner(container) not in leaving_services]
        if others:
            return f"the container {others[0]['Names'][0].lstrip('/')} publishes it"
        if users or port.protocol != "tcp" or not self._is_on_this_machine:
            return ""
        return tcp.why_taken(port.host, port.published)

    @functools.cached_property
    def _is_on_this_machine(self) -> bool:
        """Whether the daemon publishes ports on the addresses of this process."""
        with docker_errors():
            return client.shares_network(self.api)

    @property
    def machine(self) -> str:
        """The machine of the daemon, "" for this one."""
        return client.machine(self.api)

    def recipe(self, service: Service) -> Recipe | None:
        """Return what a container of the service would be created from: its image, settings and configuration files."""
        return self._recipe(service, self._digests(service))

    def _digests(self, service: Service) -> dict[str, str]:
        return config_files.digests(config_files.declared(service))

    def _recipe(self, service: Service, digests: Mapping[str, str]) -> Recipe:
        with docker_errors():
            image = images.inspect(self.api, service.image)
            return recipe.wanted_recipe(self.stack, self.supported(service), image, digests)

    def supported(self, service: Service) -> Service:
        """Return a service without the `start_interval` of its healthcheck if the daemon would drop it silently."""
        check = service.healthcheck
        if check and version_lt(self.api.api_version, HAS_START_INTERVAL):
            return replace(service, healthcheck=replace(check, start_interval=None))
        return service

    def ensure_image(self, service: Service, say: Say) -> None:
        """Build the service's image from its context, or pull it."""
        with docker_errors(f"cannot {'build' if service.build else 'pull'} {service.image}"):
            for line in self._build_or_pull(service):
                say(line)

    def _build_or_pull(self, service: Service) -> Iterator[str]:
        if service.build:
            by_name = {declared.name: declared.image for declared in self.stack.services}
            return images.build(self.api, service.image, service.build.with_images(by_name), self.stack.project)
        if service.pull_policy == "never":
            why = f"{service.image} is missing, and services.{service.name}.pull_policy is never"
            raise EngineError(f"{why}. Try: docker pull {service.image}")
        return images.pull(self.api, service.image, service.platform)

    def pull_image(self, service: Service, say: Say) -> None:
        """Pull the image from its registry."""
        with docker_errors(f"cannot pull {service.image}"):
            for line in images.pull(self.api, service.image, service.platform):
                say(line)

    def resolve(self, reference: str) -> Pin | None:
        """Return the image that the daemon has under a name."""
        with docker_errors():
            image = images.inspect(self.api, reference)
        return Pin(reference, image["Id"], images.digest(image, reference), image["Size"]) if image else None

    def create_resource(self, resource: Network | Volume) -> None:
        """Create a network or volume with the labels of Compose."""
        name = self.stack.engine_name(resource)
        declared = container_keys.values(resource.options or ())
        labels = {f"{COMPOSE}project": self.stack.project, f"{COMPOSE}{resource.kind}": resource.name}
        labels |= {**declared.get("labels", {}), SETTINGS: json.dumps(dict(resource.options or ()), sort_keys=True)}
        with docker_errors():
            if isinstance(resource, Network):
                self._create_network(name, labels, network_settings(declared) | {"internal": resource.internal})
            else:
                self.api.create_volume(name, declared.get("driver"), declared.get("driver_opts"), labels)

    def _create_network(self, name: str, labels: dict[str, str], settings: Body) -> None:
        self.api.create_network(name, labels=labels, check_duplicate=True, **settings)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Remove a network or volume that has the project's label."""
        name = self.stack.engine_name(resource)
        with docker_errors(), gone_is_fine():
            if isinstance(resource, Network):
                self._remove_pause_containers()
                for network in self._networks():
                    if network["Name"] == name:
                        self.api.remove_network(network["Id"])
            else:
                remove_volume(self.api, self._project, name)

    def _remove_pause_containers(self) -> None:
        for listed in self.api.containers(all=True, filters={"label": [PAUSE, self._project]}):
            with contextlib.suppress(APIError):  # it is being removed
                self.api.remove_container(listed["Id"], force=True)

    def removal(self, resource: Network | Volume) -> str:
        """Return the docker command that removes a network or volume."""
        return f"docker {resource.kind} rm {self.stack.engine_name(resource)}"

    def refuse_stack(self) -> None:
        """Raise `MisuseError` if an external network does not exist."""
        self._refuse_absent(*self.stack.networks)

    def _refuse_absent(self, *declared: Network | Volume) -> None:
        for resource in declared:
            if resource.external and self._inspect(resource) is None:
                command = f"docker {resource.kind} create {resource.known_as}"
                what = f"there is no {resource.kind} {resource.known_as}, which is external"
                raise MisuseError(f"{what}; try: {command}")

    def _inspect(self, resource: Network | Volume) -> Body | None:
        inspect = self.api.inspect_network if isinstance(resource, Network) else self.api.inspect_volume
        with docker_errors(), gone_is_fine():
            answer: Body = inspect(self.stack.engine_name(resource))
            return answer
        return None

    def _networks(self) -> list[Body]:
        networks: list[Body] = self.api.networks(filters={"label": self._project})
        return networks

    def _with_others(self, observed: Snapshot) -> Snapshot:
        """Add declared resources that another owner created, as external ones."""
        missing = missing_resources(self.stack, observed)
        others = [replace(resource, external=True) for resource in missing if self._inspect(resource) is not None]
        return replace(
            observed,
            networks=(*observed.networks, *(resource for resource in others if isinstance(resource, Network))),
            volumes=(*observed.volumes, *(resource for resource in others if isinstance(resource, Volume))),
        )

    def releases(self) -> tuple[BuiltRelease, ...]:
        """Return the images of the first service that the stack builds."""
        first = next(iter(self.repositories), "")
        with docker_errors():
            listed = self.api.images(image_name(first).familiar) if first else []
        releases = [release for image in listed for release in snapshot.releases(image, first)]
        return tuple(sorted(releases, key=lambda release: release.built, reverse=True))

    def remove_release(self, release: str) -> bool:
        """Remove images unless a container uses them or another stack keeps them."""
        names = [f"{repository}:{release}" for repository in self.repositories]
        with docker_errors():
            if any(self._is_kept_by_others(image, release) for image in names):
                return False
            for image in names:
                if not all(map(snapshot.is_over, self.api.containers(all=True, filters={"ancestor": image}))):
                    return False
            for image in names:
                with gone_is_fine():
                    self.api.remove_image(image, force=True)
        return True

    def has_buildkit(self) -> bool:
        """Return whether the docker command has buildx."""
        return buildkit.is_available(self.api)

    def keeps_release(self, release: str) -> bool:
        """Return whether the images of a release have a tag of this stack."""
        with docker_errors():
            return all(images.inspect(self.api, f"{self._kept_name(name)}:{release}") for name in self.repositories)

    def keep_releases(self, releases: Collection[str]) -> None:
        """Tag images with a name of this stack: the daemon is the only place that all its stacks share."""
        for repository in self.repositories:
            kept = self._kept_name(repository)
            with docker_errors():
                tags = [image_name(tag) for image in self.api.images(kept) for tag in image["RepoTags"] or []]
                existing = [tag.tag for tag in tags if tag.repository == kept]  # an image has all its names
                for release in {*releases} - {*existing}:
                    with gone_is_fine():
                        self.api.tag(f"{repository}:{release}", kept, release)
            for release in {*existing} - {*releases}:
                with contextlib.suppress(BusyError), docker_errors(), gone_is_fine():
                    self.api.remove_image(f"{kept}:{release}")

    def image_id(self, name: str) -> str:
        """Return the id that the daemon reports."""
        with docker_errors():
            return str((images.inspect(self.api, name) or {}).get("Id", ""))

    def keep_pulled(self, release: str, image: str) -> None:
        """Tag the image with a name of this stack: an image whose tag was moved has no other name."""
        with docker_errors(), gone_is_fine():
            self.api.tag(image, self._pulled, release)

    def remove_pulled(self, release: str, names: Collection[str]) -> bool:
        """Remove this stack's name of an image, and the others if they are all that it has."""
        kept = f"{self._pulled}:{release}"
        with docker_errors(), gone_is_fine():
            image = self.api.inspect_image(kept)
            if not all(map(snapshot.is_over, self.api.containers(all=True, filters={"ancestor": image["Id"]}))):
                return False
            self.api.remove_image(snapshot.name_to_remove(image, kept, names), force=True)
        return True

    @property
    def _pulled(self) -> str:
        """The repository of the names that keep pulled images."""
        return self._kept_name("pulled")

    def keep_job_images(self, images: Mapping[str, str]) -> None:
        """Tag the images with a name of this stack: else one whose tag was moved would count as unused."""
        kept = self._kept_name("jobs")
        with contextlib.suppress(BusyError), docker_errors(), gone_is_fine():
            for job, image in images.items():
                self.api.tag(image, kept, job)
            for listed in self.api.images(kept):
                image = self.api.inspect_image(listed["Id"])  # a list by name has no other names
                names = list(map(image_name, image["RepoTags"]))
                left = [name for name in names if name.repository == kept and name.tag not in images]
                for name in left if len(names) > len(left) else ():
                    self.api.remove_image(name.tagged)
        self._remove_built(images.values())

    def _remove_built(self, kept: Collection[str]) -> None:
        """Remove images that were built for jobs, except for these and those that containers use."""
        containers = (job.changes.container for job in self.stack.jobs if job.has_separate_image)
        repositories = {image_name(container.image).repository for container in containers if container.build}
        for repository in repositories:
            with contextlib.suppress(BusyError), docker_errors(), gone_is_fine():
                for image in self.api.images(image_name(repository).familiar):
                    names = map(image_name, image["RepoTags"] or [])
                    built = [name for name in names if name.repository == repository and name.tag.startswith(OF_JOB)]
                    if image["Id"] not in kept:
                        self._remove_unused(name.tagged for name in built)

    def _remove_unused(self, names: Iterable[str]) -> None:
        for name in names:
            if all(map(snapshot.is_over, self.api.containers(all=True, filters={"ancestor": name}))):
                self.api.remove_image(name, force=True)

    def _is_kept_by_others(self, image: str, release: str) -> bool:
        own_names = {self._kept_name(repository) for repository in self.repositories}
        tags = map(image_name, (images.inspect(self.api, image) or {}).get("RepoTags") or [])
        kept = {tag.repository for tag in tags if tag.repository.startswith(KEPT) and tag.tag == release}
        return bool(kept - own_names)

    def _kept_name(self, repository: str) -> str:
        """Return the repository of the names that keep images; a project's name may be invalid for an image."""
        owner = f"{self.stack.project} {image_name(repository).familiar}"
        return f"{KEPT}{hashlib.sha256(owner.encode()).hexdigest()[:12]}"

    @property
    def repositories(self) -> tuple[str, ...]:
        """The names of the images that the stack builds, without their tags."""
        names = (image_name(service.image).repository for service in self.stack.services if service.build)
        return tuple(dict.fromkeys(names))

    @property
    def _project(self) -> str:
        return f"{COMPOSE}project={self.stack.project}"


def volumes(api: docker.APIClient, project: str) -> list[Body]:
    """Return the volumes of a daemon that have a project's label."""
    listed: list[Body] = api.volumes(filters={"label": project})["Volumes"] or []
    return listed


def attached(api: docker.APIClient, networks: Collection[str]) -> list[tuple[str, Body]]:
    """Return the running containers on networks, by network, without twelfth's runs."""
    listed = api.containers(filters={"network": [*networks]}) if networks else []
    return [
        (name, container)
        for container in listed
        if not {PAUSE, RUN} & container["Labels"].keys()
        for name in container["NetworkSettings"]["Networks"]
        if name in networks
    ]


def remove_volume(api: docker.APIClient, project: str, name: str) -> None:
    """Remove a volume of a project, with the containers of ended runs that mount it; the ledger has their records."""
    if any(volume["Name"] == name for volume in volumes(api, project)):
        filters = {"volume": name, "label": [project, RUN], "status": ["created", "exited", "dead"]}
        for container in api.containers(all=True, filters=filters):
            api.remove_container(container["Id"], v=True)
        api.remove_volume(name)
