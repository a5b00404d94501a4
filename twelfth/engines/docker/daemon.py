"""What engines that work through a Docker daemon have in common: its client, images, releases, networks and volumes."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

from twelfth.engines.contract import Engine
from twelfth.engines.docker import client, configs, images, options, pause, recipe, snapshot
from twelfth.engines.docker.errors import docker_errors, gone_is_fine
from twelfth.engines.docker.replica import COMPOSE, SETTINGS, network_settings
from twelfth.errors import EngineError
from twelfth.model.stack import Network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import docker

    from twelfth.engines.contract import Say
    from twelfth.engines.docker.replica import Body
    from twelfth.model.snapshot import BuiltRelease, Recipe
    from twelfth.model.stack import Service, Volume


class DaemonEngine(Engine):
    """A stack that the daemon which the docker command line would talk to knows of."""

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

    def recipe(self, service: Service) -> Recipe | None:
        """Return what a container of the service would be made from: its image's content, its settings, its files."""
        return self._recipe(service, self._digests(service))

    def _digests(self, service: Service) -> dict[str, str]:
        """Return what tells one of a service's configuration files from another, by target."""
        return configs.digests(configs.declared(service))

    def _recipe(self, service: Service, digests: Mapping[str, str]) -> Recipe:
        with docker_errors():
            image = images.inspect(self.api, service.image)
            return recipe.wanted_recipe(self.stack, service, image, digests)

    def ensure_image(self, service: Service, say: Say) -> None:
        """Build the service's image from its context, or pull it."""
        with docker_errors(f"cannot {'build' if service.build else 'pull'} {service.image}"):
            for line in self._build_or_pull(service):
                say(line)

    def _build_or_pull(self, service: Service) -> Iterator[str]:
        if service.build:
            return images.build(self.api, service.image, service.build)
        if service.pull_policy == "never":
            raise EngineError(f"{service.image} is not here, and services.{service.name}.pull_policy is never; load it")
        return images.pull(self.api, service.image, service.platform)

    def create_resource(self, resource: Network | Volume) -> None:
        """Make a network or volume, labelled as Compose would."""
        name = self.stack.known_as(resource.kind, resource.name)
        said = options.values(resource.options or ())
        labels = {f"{COMPOSE}project": self.stack.project, f"{COMPOSE}{resource.kind}": resource.name}
        labels |= {**said.get("labels", {}), SETTINGS: json.dumps(dict(resource.options or ()), sort_keys=True)}
        with docker_errors():
            if isinstance(resource, Network):
                self._create_network(name, labels, network_settings(said) | {"internal": resource.internal})
            else:
                self.api.create_volume(name, said.get("driver"), said.get("driver_opts"), labels)

    def _create_network(self, name: str, labels: dict[str, str], settings: Body) -> None:
        self.api.create_network(name, labels=labels, check_duplicate=True, **settings)

    def remove_resource(self, resource: Network | Volume) -> None:
        """Remove a network or volume."""
        name = self.stack.known_as(resource.kind, resource.name)
        with docker_errors(), gone_is_fine():
            if isinstance(resource, Network):
                pause.remove_all(self.api, self.stack.project)
                self.api.remove_network(name)
            else:
                self.api.remove_volume(name)

    def releases(self) -> tuple[BuiltRelease, ...]:
        """Return the images of the first service that the stack builds."""
        first = next(iter(self._repositories), "")
        with docker_errors():
            found = self.api.images(first) if first else []
        built = [one for each in found for one in snapshot.releases(each, first)]
        return tuple(sorted(built, key=lambda each: each.built, reverse=True))

    def remove_release(self, release: str) -> bool:
        """Remove images that no container was made from, ended runs apart: their records need none."""
        names = [f"{repository}:{release}" for repository in self._repositories]
        with docker_errors():
            users = [each for image in names for each in self.api.containers(all=True, filters={"ancestor": image})]
            if not all(snapshot.is_ended_run(each) for each in users):
                return False
            for image in names:
                with gone_is_fine():
                    self.api.remove_image(image, force=True)
        return True

    @property
    def _repositories(self) -> tuple[str, ...]:
        """Return the names of the images that the stack builds, without their tags."""
        names = (each.image.rpartition(":")[0] or each.image for each in self.stack.services if each.build)
        return tuple(dict.fromkeys(names))

    @property
    def _project(self) -> str:
        return f"{COMPOSE}project={self.stack.project}"
