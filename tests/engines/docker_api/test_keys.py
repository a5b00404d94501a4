"""Every key of a service: a second `up` does nothing, and a change of the key is seen.

All in memory, on both engines that make containers, for containers of twelfth and of Compose.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.compose.conftest import HOME, OWN
from tests.engines.docker_api import daemon, keys
from twelfth.compose import cli, service_keys, services
from twelfth.engines.docker_api import config_files, container_spec, recipe
from twelfth.engines.docker_api.container_spec import COMPOSE
from twelfth.engines.swarm import config_files as swarm_config_files
from twelfth.engines.swarm import service_spec, snapshot
from twelfth.model.snapshot import differences

if TYPE_CHECKING:
    from pathlib import Path

    from twelfth.model.service import Service
    from twelfth.model.snapshot import Recipe
    from twelfth.model.stack import Stack

TOP = """
networks: {one: , two: }
volumes: {data: }
configs: {text: {content: text}, other: {content: other}, file: {file: ./file}}
secrets: {hidden: {file: ./file}}
"""
IMAGE: dict[str, Any] = {
    "Id": "sha256:1",
    "Config": {
        "Cmd": ["serve"],
        "Entrypoint": ["/entrypoint"],
        "Env": ["PATH=/bin", "A=of the image"],
        "ExposedPorts": {"8000/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "ask"], "Interval": 7_000_000_000},
        "Labels": {"of": "the image"},
        "StopSignal": "SIGTERM",
        "User": "app",
        "Volumes": {"/kept": {}},
        "WorkingDir": "/app",
    },
}
PLAIN: dict[str, Any] = {"Id": "sha256:1", "Config": {}}
MORE = (
    *("command: []", "entrypoint: []", "entrypoint: ''\ncommand: x", "entrypoint: [a]", "healthcheck: {disable: true}"),
    *("network_mode: bridge", "network_mode: service:linked", "networks: {}", "ipc: service:linked", "ipc: private"),
    *("privileged: true\ncap_drop: [all]", "security_opt: ['label:disable']\npid: host", "environment: {A: , B: ''}"),
    *(
        "ports: ['80', '81/udp', '127.0.0.1::82', '18120:83', '18121:83']",
        "mem_limit: 64m",
        "stop_grace_period: 1.2s",
        "hostname: app",
    ),
    *("volumes: ['data:/kept']", "volumes: [/kept]", "tmpfs: /kept", "configs: [text, file]", "networks: [outer]"),
    *("volumes: [{type: tmpfs, target: /a, read_only: true}]", "working_dir: /app/"),
    *("volumes: ['chosen:/a']", "pids_limit: -1", "cpu_shares: 0", "mem_swappiness: -1", "shm_size: 64m"),
)
"""Further settings, which the daemon completes or writes otherwise."""

NOT_REPORTED = {
    *("annotations", "mac_address", "networks.mac_address", "networks.priority", "networks.gw_priority", "platform"),
    *("configs.uid", "configs.gid", "configs.mode", "post_start", "pre_stop"),
}
"""Keys that an old daemon, or Compose, does not record in a container; twelfth records them in a label."""


def everything(table: dict[str, tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the name and the fragment of each example and change."""
    return [(f"{key} {number}", text) for key, pair in table.items() for number, text in enumerate(pair)]


FRAGMENTS = dict(everything(keys.SEEN) + everything(keys.ELSEWHERE) + [(text, text) for text in MORE])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """Return a stack with a service for each fragment, as the real Compose reads them."""
    directory: Path = tmp_path_factory.mktemp("keys")
    (directory / "file").write_text("of a file")
    parts = ["services:\n  linked: {image: x}"]
    for number, text in enumerate(FRAGMENTS.values()):
        own = text.replace("NAME", f"n{number}").replace("SUBNET", "10.9.8")
        image = "" if "image:" in own else "image: x\n    "
        parts.append(f"  s{number}:\n    {image}" + own.replace("\n", "\n    "))
    top = TOP.replace("two: }", "two: , outer: {external: true, name: host}}").replace(
        "data: }", f"data: , chosen: {{external: true, name: {'a' * 64}}}}}"
    )
    (directory / "compose.yaml").write_text("\n".join(parts) + top)
    found = cli.read(directory, HOME, among=[OWN])
    return services.stack(found.model, found.files)


def service_of(stack: Stack, fragment: str) -> Service:
    """Return the service of a fragment, under the name that all of them have in these tests."""
    found = stack.service(f"s{[*FRAGMENTS].index(fragment)}")
    assert found
    name = re.sub(r"^n[0-9]+-", "n-", found.container_name)
    return replace(found, name="app", container_name=name)


def image_of(service: Service, image: dict[str, Any]) -> dict[str, Any]:
    """Return the image of a service, which has another id by another name."""
    return image if service.image.partition(":")[0] in {"x", "keys-app"} else image | {"Id": f"sha256:{service.image}"}


def wanted(stack: Stack, service: Service, image: dict[str, Any]) -> Recipe:
    """Return what a container of the service would be created from."""
    digests = config_files.digests(config_files.declared(service))
    return recipe.wanted_recipe(stack, service, image_of(service, image), digests)


def found_of_twelfth(stack: Stack, service: Service, image: dict[str, Any]) -> Recipe:
    """Return what a daemon reports of a container that twelfth created."""
    own = image_of(service, image)
    labels = container_spec.labels(stack, service, 1, wanted(stack, service, image))
    body = container_spec.body(stack, service, labels)
    name = service.container_name or f"{stack.project}-app-1"
    return recipe.found_recipe(daemon.report(body, own, name, container_spec.declared_endpoints(stack, service)))


def found_of_compose(stack: Stack, service: Service, image: dict[str, Any]) -> Recipe:
    """Return what a daemon reports of a container that Compose made: it copies what has its content in the file."""
    inline = replace(stack, services=(service,)).inline_files("app")
    mounted = replace(service, mounts=tuple(each for each in service.mounts if each.target not in inline))
    own = {"project": stack.project, "service": "app", "container-number": "1", "oneoff": "False"}
    body = container_spec.body(stack, mounted, {f"{COMPOSE}{name}": value for name, value in own.items()})
    name = service.container_name or f"{stack.project}-app-1"
    body["HostConfig"] = in_words_of_compose(body["HostConfig"])
    made = daemon.report(body, image_of(service, image), name, container_spec.declared_endpoints(stack, service))
    digests = config_files.digests(config_files.declared(service))
    return recipe.found_recipe(made, {target: digest for target, digest in digests.items() if target in inline})


def in_words_of_compose(host: dict[str, Any]) -> dict[str, Any]:
    """Return a HostConfig with named volumes as text, if text can say all of them."""
    volumes = [mount for mount in host["Mounts"] if mount["Type"] == "volume" and mount.get("Source")]
    simple = [mount for mount in volumes if {*mount.get("VolumeOptions", {})} <= {"NoCopy"}]
    texts = [":".join([mount["Source"], mount["Target"], ",".join(mode_of(mount))]) for mount in simple]
    rest = [mount for mount in host["Mounts"] if mount not in simple]
    return host | {"Binds": [*host["Binds"], *texts], "Mounts": rest}


def mode_of(mount: dict[str, Any]) -> list[str]:
    """Return how a volume is mounted."""
    nocopy = ["nocopy"] if mount.get("VolumeOptions") else []
    return ["ro" if mount.get("ReadOnly") else "rw", *nocopy]


MAKERS = {"twelfth": found_of_twelfth, "compose": found_of_compose}


def on_swarm(stack: Stack, service: Service, image: dict[str, Any], version: str) -> tuple[Recipe, Recipe]:
    """Return what a task of the service would be made from, and what a Swarm reports of one that was."""
    alone, own = replace(stack, services=(service,)), image_of(service, image)
    held, digests = (
        service_spec.supported(service, version),
        swarm_config_files.digests(swarm_config_files.declared(service)),
    )
    made = service_spec.build(alone, held, service.image, [], digests, ingress=False)
    task, networks = made["task_template"], {name: name for name in container_spec.network_names(alone, service)}
    answer = {
        "Spec": {"Name": made["name"], "Labels": made["labels"], "EndpointSpec": made["endpoint_spec"]},
        "Endpoint": {},
    }
    found = service_spec.inspected(task, answer, own, networks)
    state = {"ID": "t1", "Spec": task, "Status": {"State": "running"}}
    return (
        recipe.wanted_recipe(alone, held, own, digests) | snapshot.placement(service.constraints),
        snapshot.replica(state, answer, [], None, found).recipe,
    )


def can_have(stack: Stack, fragment: str) -> bool:
    """Return whether a Swarm can have a service of a fragment."""
    service = service_of(stack, fragment)
    return not service_spec.refusals(replace(stack, services=(service,)), service)


def test_every_key_has_an_example_and_a_change() -> None:
    """A new key of the reader has to be added to the table."""
    known = {f"{name}.{key}".lstrip(".") for name, table in service_keys.TABLES.items() for key in table}
    nested = {name for name in service_keys.TABLES if name} - {
        "deploy.resources.limits",
        "deploy.resources.reservations",
    }

    assert known == {*keys.SEEN, *keys.ELSEWHERE} | keys.NOT_IN_THE_SCHEMA
    assert set() == nested - known


@pytest.mark.parametrize("made_by", MAKERS)
@pytest.mark.parametrize("image", [IMAGE, PLAIN], ids=["image with settings", "plain image"])
def test_second_up_does_nothing(stack: Stack, made_by: str, image: dict[str, Any]) -> None:
    """Each key is tested with each program that creates the container, and several images."""
    changed = {}
    for fragment in FRAGMENTS:
        service = service_of(stack, fragment)
        found = MAKERS[made_by](stack, service, image)
        changed[fragment] = differences(wanted(stack, service, image), found)

    assert {} == {fragment: names for fragment, names in changed.items() if names}


@pytest.mark.parametrize("made_by", MAKERS)
def test_change_of_a_key_is_seen(stack: Stack, made_by: str) -> None:
    """Adding and removing it are tested."""
    unseen = [
        key
        for key in keys.SEEN
        for before, after in ((0, 1), (1, 0))
        if not differences(
            wanted(stack, service_of(stack, f"{key} {after}"), IMAGE),
            MAKERS[made_by](stack, service_of(stack, f"{key} {before}"), IMAGE),
        )
    ]

    assert set(unseen) <= (NOT_REPORTED if made_by == "compose" else set())


@pytest.mark.parametrize("made_by", MAKERS)
def test_change_that_says_nothing_of_the_container_replaces_nothing(stack: Stack, made_by: str) -> None:
    """The image, the order, the number of replicas and other engines are compared elsewhere, if at all."""
    replaced = [
        key
        for key in keys.ELSEWHERE
        for before, after in ((0, 1), (1, 0))
        if differences(
            wanted(stack, service_of(stack, f"{key} {after}"), IMAGE),
            MAKERS[made_by](stack, service_of(stack, f"{key} {before}"), IMAGE),
        )
    ]

    assert [] == replaced


VERSIONS = ("1.41", "1.45")
OF_A_SWARM = {"deploy.placement", "deploy.placement.constraints"}
"""Keys that only a Swarm knows."""

HELD_OTHERWISE = {"healthcheck.interval", "healthcheck.start_interval", "ports", "ports.host_ip"}
"""Keys of which a Swarm cannot have each value; `losses` names what it does not have."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("image", [IMAGE, PLAIN], ids=["image with settings", "plain image"])
def test_second_up_on_a_swarm_does_nothing(stack: Stack, version: str, image: dict[str, Any]) -> None:
    """For each service that a Swarm can have."""
    possible = [fragment for fragment in FRAGMENTS if can_have(stack, fragment)]
    changed = {each: differences(*on_swarm(stack, service_of(stack, each), image, version)) for each in possible}

    assert {} == {fragment: names for fragment, names in changed.items() if names}
    assert len(possible) > len(FRAGMENTS) / 3


@pytest.mark.parametrize("version", VERSIONS)
def test_change_of_a_key_is_seen_on_a_swarm(stack: Stack, version: str) -> None:
    """Where a Swarm can have both values."""
    pairs = [(f"{key} {before}", f"{key} {1 - before}") for key in keys.SEEN | keys.ELSEWHERE for before in (0, 1)]
    seen = {
        pair[0].split()[0]
        for pair in pairs
        if all(can_have(stack, each) for each in pair)
        and differences(
            on_swarm(stack, service_of(stack, pair[1]), IMAGE, version)[0],
            on_swarm(stack, service_of(stack, pair[0]), IMAGE, version)[1],
        )
    }
    possible = {pair[0].split()[0] for pair in pairs if all(can_have(stack, each) for each in pair)}

    assert (possible & {*keys.SEEN}) - seen <= HELD_OTHERWISE
    assert seen & {*keys.ELSEWHERE} == OF_A_SWARM
