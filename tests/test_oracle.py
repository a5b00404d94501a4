"""Each key of a Compose file becomes what `docker compose` makes of it: the daemon reports both containers alike."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests import oracle
from tests.conftest import DOCKER_COMPOSE, ROOT, engine_at_hand, require, require_program
from tests.sample import MODERN
from twelfth.compose import container_keys
from twelfth.compose.service_keys import _BUILD as BUILD
from twelfth.compose.service_keys import _SERVICE as SERVICE
from twelfth.model.service import as_options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = [
    "annotations: {a: b}",
    "blkio_config: {weight: 300, device_read_bps: [{path: /dev/null, rate: 12mb}]}",
    "cap_add: [NET_ADMIN]\ncap_drop: [ALL]",
    "cgroup: private",
    "cgroup_parent: /parent",
    "command: sleep 1",
    "configs: [{source: text, target: /text}, file]",
    "container_name: ${COMPOSE_PROJECT_NAME}-by-name",
    "cpu_count: 1\ncpu_shares: 512\ncpuset: '0'",
    "cpu_period: 50000\ncpu_quota: 25000",
    "cpus: 0.5\nmem_limit: 64m\nmem_reservation: 32m\nmemswap_limit: 128m\nmem_swappiness: 10\npids_limit: 20",
    "deploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 9}, reservations: {memory: 16m}}}",
    "deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}",
    "device_cgroup_rules: ['c 1:3 mr']\ndevices: ['/dev/null:/dev/none:r', /dev/zero]",
    "dns: 1.1.1.1\ndns_opt: ['ndots:1']\ndns_search: [a.example, b.example]",
    "entrypoint: /bin/echo a\ncommand: b",
    "entrypoint: [echo]",
    "environment: {A: b, C: 'd=e'}",
    "env_file: [./variables]",
    "expose: [80, 90/udp, 100-102]",
    "extra_hosts: ['a:1.2.3.4', 'b=::1']",
    "group_add: ['1', audio]",
    "healthcheck: {test: exit 0, interval: 1m, timeout: 2s, retries: 5, start_period: 3s}",
    "healthcheck: {test: exit 0, start_period: 3s, start_interval: 1s}",
    "healthcheck: {disable: true}",
    "hostname: named\ndomainname: example.org",
    "init: true\nread_only: true",
    "ipc: host\npid: host\nuts: host",
    "ipc: shareable",
    "labels: {a: b, c: ''}",
    "links: ['linked:other']",
    "logging: {driver: json-file, options: {max-size: 1m, max-file: '3'}}",
    "network_mode: host",
    "network_mode: none",
    "network_mode: service:linked",
    "networks: {one: {aliases: [x, y]}, two: {ipv4_address: '${SUBNET}.10'}}",
    "oom_kill_disable: true\noom_score_adj: 500",
    "ports: ['80', '8080:80', '127.0.0.1:8081:81', '5353:53/udp', '9000-9002:90', '9100-9101:91-92']",
    "privileged: true",
    "pull_policy: never",
    "restart: on-failure:5",
    "restart: unless-stopped",
    "runtime: runc",
    "secrets: [hidden, {source: hidden, target: /elsewhere}]",
    "security_opt: ['no-new-privileges:true', 'seccomp:unconfined']",
    "shm_size: 32m",
    "stdin_open: true\ntty: true",
    "stop_signal: SIGINT\nstop_grace_period: 90s",
    "sysctls: {net.core.somaxconn: 1024}",
    "tmpfs: [/a, '/b:size=1m,mode=700']",
    "ulimits: {nofile: 100, nproc: {soft: 10, hard: 20}}",
    "user: '1000:1000'\nworking_dir: /tmp",
    "userns_mode: host",
    "volumes: ['data:/a', 'data:/b:ro', /anonymous, './here:/c', './here:/d:ro,z', '/var/run/docker.sock:/s']",
    "volumes: [{type: bind, source: ./here, target: /a, bind: {propagation: rshared}}]",
    "volumes: [{type: bind, source: ./variables, target: /a, bind: {create_host_path: false}, read_only: true}]",
    "volumes: [{type: volume, source: data, target: /a, volume: {nocopy: true}}]",
    "volumes: [{type: tmpfs, target: /a, tmpfs: {size: 1m, mode: 0700}}]",
    "volumes: [shared:/a]\nnetworks: [outside]",
]
"""Keys of a service, each of which this daemon can have."""

NEED_MORE = {"cpu_percent", "cpu_rt_period", "cpu_rt_runtime", "gpus", "isolation", "storage_opt", "volume_driver"}
"""Keys that need a machine of another kind: the table alone is tested."""

NOTHING = {"attach", "develop", "profiles", "provenance", "sbom", "cache_to"}
"""Keys that say nothing of what is made."""

LOST = {"mac_address"}
"""What Compose 5.6 loses with a daemon before API 1.44, which takes it only as a setting of the container."""

TOP = """
  linked: {image: "${PYTHON_IMAGE:-python:3.13-slim}"}
networks:
  one: {driver: bridge, driver_opts: {com.docker.network.bridge.name: "b${SUBNET_ID}"}, labels: {a: b}}
  two: {ipam: {config: [{subnet: "${SUBNET}.0/24"}]}, internal: true, attachable: true}
  outside: {external: true, name: "${COMPOSE_PROJECT_NAME}-outside"}
volumes:
  data: {driver: local, labels: {a: b}}
  shared: {external: true, name: "${COMPOSE_PROJECT_NAME}-shared"}
configs: {text: {content: text}, file: {file: ./variables}}
secrets: {hidden: {file: ./variables}}
"""
INDEXES = range(len(HERE))
Made = tuple[dict[str, Any], dict[str, Any], dict[str, set[str]]]


@pytest.fixture(scope="module", params=["docker", MODERN])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Return what Compose and twelfth made of one file with a service for each of the keys, and where files lie."""
    with engine_at_hand(request) as name:
        require(name)
        require_program(DOCKER_COMPOSE)
        yield _made(tmp_path_factory)


def _made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    directory: Path = tmp_path_factory.mktemp("oracle")
    image = 'image: "${PYTHON_IMAGE:-python:3.13-slim}"'
    keys = [f"  s{number}:\n    {image}\n    " + each.replace("\n", "\n    ") for number, each in enumerate(HERE)]
    (directory / "compose.yaml").write_text("services:\n" + "\n".join(keys) + TOP)
    (directory / "variables").write_text("FROM_FILE=yes\n")
    (directory / "here").mkdir()
    number = secrets.randbelow(200)
    project = f"t{secrets.token_hex(4)}"
    environment = {"COMPOSE_PROJECT_NAME": project, "SUBNET": f"10.213.{number}", "SUBNET_ID": project}
    return oracle.both(directory, environment, networks=[f"{project}-outside"], volumes=[f"{project}-shared"])


@pytest.mark.parametrize("index", INDEXES, ids=HERE)
def test_container_is_the_one_that_compose_makes(made: Made, index: int) -> None:
    """In all that the daemon reports of it, but for what tells one container from another."""
    theirs, ours, files = made
    name = f"s{index}"

    assert oracle.comparable(theirs[name], files[name]) == oracle.comparable(ours[name], files[name])


def test_each_key_is_documented() -> None:
    """Of services and of builds, in docs/stack.md."""
    text = (ROOT / "docs" / "stack.md").read_text("utf-8")

    assert [] == [key for key in sorted({*SERVICE, *BUILD} - NOTHING) if f"`{key}`" not in text]


def test_each_key_that_is_honoured_is_compared_or_known_to_need_more() -> None:
    """A new key gets an example in HERE, or a line in NEED_MORE."""
    compared = {line.partition(":")[0] for each in HERE for line in each.splitlines()}

    assert set() == container_keys.KEYS - compared - NEED_MORE - LOST


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("cpu_percent", 50, {"CpuPercent": 50}),
        ("cpu_rt_period", "1000", {"CpuRealtimePeriod": 1000}),
        ("cpu_rt_runtime", "900", {"CpuRealtimeRuntime": 900}),
        ("isolation", "process", {"Isolation": "process"}),
        ("storage_opt", {"size": "1G"}, {"StorageOpt": {"size": "1G"}}),
        ("volume_driver", "local", {"VolumeDriver": "local"}),
        (
            "gpus",
            [{"count": -1}],
            {
                "DeviceRequests": [
                    {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": None}
                ]
            },
        ),
        (
            "blkio_config",
            {
                "weight_device": [{"path": "/dev/sda", "weight": 400}],
                "device_write_iops": [{"path": "/d", "rate": "5"}],
            },
            {
                "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 400}],
                "BlkioDeviceWriteIOps": [{"Path": "/d", "Rate": 5}],
            },
        ),
    ],
)
def test_key_that_needs_more_is_said_in_the_words_of_the_api(key: str, value: object, expected: dict[str, Any]) -> None:
    """As its reference has them."""
    assert expected == container_keys.body(as_options({key: value}))["HostConfig"]


def test_address_of_a_container_is_not_lost() -> None:
    """A setting of the container, which every version of the API takes."""
    made = container_keys.body(as_options({"mac_address": "02:42:ac:11:65:43"}))

    assert {"MacAddress": "02:42:ac:11:65:43", "HostConfig": {}} == made
