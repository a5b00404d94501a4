"""A container's body in Swarm's words, and back: nothing is lost on the way, and nothing is of one machine only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engines.docker_api.values import REQUEST
from twelfth.engines.docker_api import identity, run_spec
from twelfth.engines.docker_api.recipe import found_recipe, wanted_recipe
from twelfth.engines.swarm import service_spec
from twelfth.model.snapshot import differences
from twelfth.model.stack import Healthcheck, Limits, Logging, Mount, Network, Port, Service, Stack, Volume, as_options

WORKER = Service(
    "worker",
    "app:0123456789ab",
    command=("serve", "--all"),
    environment=(("COLOUR", "red"), ("LEVEL", "info")),
    networks=("back", "front"),
    mounts=(
        Mount("config", "/etc/app.cfg", "/home/operator/app.cfg", read_only=True),
        Mount("tmpfs", "/tmp"),
        Mount("volume", "/data", "data"),
    ),
    ports=(Port(8000, 8080, "127.0.0.1"),),
    user="nobody",
    init=True,
    read_only=True,
    cap_drop=("ALL",),
    security_opt=("no-new-privileges:true",),
    limits=Limits(0.5, 64 << 20, 50),
    healthcheck=Healthcheck(("CMD", "true"), 5.0),
    logging=Logging("json-file", (("max-size", "1m"),)),
    restart="unless-stopped",
    stop_grace=3.0,
    constraints=("node.labels.data == true",),
)
STACK = Stack("p_q", Path("/project"), (WORKER,), (Network("back"), Network("front")), (Volume("data"),))
OLD, NEW = "1.41", "1.44"
DIGESTS = {"/etc/app.cfg": "digest"}
REFERENCE = {"ConfigID": "c1", "ConfigName": "p-digest", "File": {"Name": "/etc/app.cfg"}}
IMAGE = {"Id": "sha256:1", "Config": {"Env": ["PATH=/bin"], "Cmd": ["shell"]}}
NETWORKS = {"n1": "p_q_back", "n2": "p_q_front"}


def made(version: str = NEW) -> dict[str, object]:
    """Return the worker's specification for an API of that version."""
    return service_spec.build(STACK, service_spec.held(WORKER, version), "app:1", [REFERENCE], DIGESTS, ingress=False)


def as_service(wanted: dict[str, object]) -> dict[str, object]:
    """Return what the API answers of a service that was made so."""
    return {"Spec": {"Name": wanted["name"], "Labels": wanted["labels"], "EndpointSpec": wanted["endpoint_spec"]}}


@pytest.mark.parametrize("version", [OLD, NEW])
def test_what_is_made_is_what_was_wanted(version: str) -> None:
    """So the next `up` has nothing to do."""
    wanted = made(version)
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), IMAGE, NETWORKS)  # type: ignore[arg-type]

    recipe = wanted_recipe(STACK, service_spec.held(WORKER, version), IMAGE, DIGESTS)
    assert () == differences(recipe, found_recipe(found, DIGESTS))


IMAGES = {
    "plain": IMAGE,
    "with a healthcheck": {"Id": "2", "Config": {"Healthcheck": {"Test": ["CMD", "ask"], "Interval": 7_000_000_000}}},
    "with a volume": {
        "Id": "3",
        "Config": {"Entrypoint": ["enter"], "Cmd": ["on"], "User": "app", "WorkingDir": "/app"},
    },
}
"""Inspected images, whose defaults count where a service says nothing."""


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"restart": "on-failure:3"},
        {"restart": "on-failure"},
        {"restart": "no"},
        {"mounts": (Mount("tmpfs", "/run", options=as_options({"options": "size=64m,mode=1770"})),)},
        {"mounts": (Mount("tmpfs", "/run", options=as_options({"size": 1 << 20, "mode": 0o700})),)},
        {"mounts": (Mount("volume", "/data", "data", read_only=True),)},
        {"mounts": (Mount("volume", "/cache"),)},
        {"security_opt": ("no-new-privileges",)},
        {"security_opt": ()},
        {"command": None, "options": as_options({"entrypoint": ["start", "--now"]})},
        {"command": ("other",), "options": as_options({"entrypoint": ["start"]})},
        {"command": None, "user": None, "healthcheck": None},
        {"healthcheck": Healthcheck(("CMD", "true"))},
        {"healthcheck": Healthcheck(("NONE",))},
        {"healthcheck": Healthcheck(("CMD", "true"), start_period=9.0, start_interval=2.0)},
        {"ports": (Port(53, 53, protocol="udp"), Port(8000, 0)), "init": False, "cap_drop": (), "limits": Limits()},
        {
            "options": as_options(
                {"dns": ["10.0.0.1"], "extra_hosts": ["a=10.0.0.2"], "sysctls": {"net.core.somaxconn": "9"}}
            )
        },
        {"options": as_options({"hostname": "box", "tty": True, "stop_signal": "SIGINT", "working_dir": "/srv"})},
    ],
)
def test_what_swarm_is_told_is_what_is_found(changes: dict[str, Any], version: str, image: dict[str, Any]) -> None:
    """Else each `up` would roll the service again, whatever is declared, and whatever the image says."""
    worker = replace(WORKER, **changes)
    stack, held = replace(STACK, services=(worker,)), service_spec.held(worker, version)
    wanted = service_spec.build(stack, held, "app:1", [REFERENCE], DIGESTS, ingress=False)
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), image, NETWORKS)

    assert [] == service_spec.refusals(stack, worker)
    assert () == differences(wanted_recipe(stack, held, image, DIGESTS), found_recipe(found, DIGESTS))


def test_no_task_mounts_a_file_of_the_operators_machine() -> None:
    """It may be placed anywhere: its configuration comes from Swarm."""
    container = made()["task_template"]["ContainerSpec"]  # type: ignore[index]

    assert {"volume", "tmpfs"} == {mount["Type"] for mount in container["Mounts"]}
    assert [REFERENCE] == container["Configs"]


def test_volume_is_the_stacks_wherever_it_is_made() -> None:
    """By Compose's labels, whatever the project's name is."""
    [volume] = [each for each in made()["task_template"]["ContainerSpec"]["Mounts"] if each["Type"] == "volume"]  # type: ignore[index]

    assert "p_q_data" == volume["Source"]
    labels = {"com.docker.compose.project": "p_q", "com.docker.compose.volume": "data"}
    assert labels == volume["VolumeOptions"]["Labels"]


@pytest.mark.parametrize(
    ("volume", "options"),
    [
        (Volume("data", known_as="archive", external=True), {"NoCopy": True}),
        (
            Volume("data", options=as_options({"driver": "nfs", "driver_opts": {"host": "nas"}, "labels": {"a": "b"}})),
            {
                "NoCopy": True,
                "Labels": {"a": "b", "com.docker.compose.project": "p_q", "com.docker.compose.volume": "data"},
                "DriverConfig": {"Name": "nfs", "Options": {"host": "nas"}},
            },
        ),
    ],
)
def test_volume_is_made_as_it_is_declared_and_not_where_it_is_somebody_elses(
    volume: Volume, options: dict[str, object]
) -> None:
    """So `down --volumes` never takes one for the stack's that is not."""
    worker = replace(WORKER, mounts=(Mount("volume", "/data", "data", options=as_options({"nocopy": True})),))
    stack = replace(STACK, services=(worker,), volumes=(volume,))
    task = service_spec.build(stack, service_spec.held(worker, NEW), "app:1", [], {}, ingress=False)["task_template"]
    [mount] = task["ContainerSpec"]["Mounts"]

    assert (volume.known_as or "p_q_data", options) == (mount["Source"], mount["VolumeOptions"])


def test_run_gets_new_anonymous_volumes() -> None:
    """Those of a task are in its specification without a name, so a run cannot get them."""
    worker = replace(WORKER, mounts=(Mount("volume", "/cache"), Mount("volume", "/data", "data")))
    stack = replace(STACK, services=(worker,))
    wanted = service_spec.build(stack, service_spec.held(worker, NEW), "app:1", [], {}, ingress=False)
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), IMAGE, NETWORKS)
    run = run_spec.body(found, REQUEST)
    mounts = run["HostConfig"]["Mounts"]

    assert "" == run["Hostname"]
    assert ("environment.TOKEN",) == identity.differences(found, run_spec.planned(found, REQUEST), REQUEST)
    assert {"/cache": None, "/data": "p_q_data"} == {each["Target"]: each.get("Source") for each in mounts}


def test_secrets_that_only_a_swarm_can_give_are_named() -> None:
    """A run could not have them."""
    task: dict[str, Any] = {"ContainerSpec": {"Secrets": [{"SecretName": "token"}]}}

    assert ["token"] == service_spec.secrets(task)
    assert [] == service_spec.secrets(made()["task_template"])  # type: ignore[arg-type]


def test_run_that_is_made_from_a_task_is_of_its_service() -> None:
    """As `docker compose ps` lists it, and the container that waits for the service's name knows it."""
    wanted = made()
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), IMAGE, NETWORKS)  # type: ignore[arg-type]

    labels = found["Config"]["Labels"]
    assert ("p_q", "worker") == (labels["com.docker.compose.project"], labels["com.docker.compose.service"])


def test_protection_that_is_lost_is_named() -> None:
    """By the version of the API; a port's host address is held by none."""
    port = "worker answers on every address at 8080, not on 127.0.0.1 only"
    privileges = "worker may gain new privileges (security_opt no-new-privileges:true)"

    assert [privileges, port] == service_spec.losses(WORKER, OLD)
    assert [port] == service_spec.losses(WORKER, NEW)


@pytest.mark.parametrize(
    ("check", "version", "expected"),
    [
        (Healthcheck(("CMD", "a"), 60.0), OLD, (1.0, None, None)),
        (Healthcheck(("CMD", "a"), 60.0), NEW, (60.0, 30.0, 1.0)),
        (Healthcheck(("CMD", "a"), 60.0, start_period=9.0, start_interval=2.0), OLD, (1.0, 9.0, None)),
        (Healthcheck(("CMD", "a"), 60.0, start_period=9.0, start_interval=2.0), NEW, (60.0, 9.0, 2.0)),
    ],
)
def test_healthcheck_runs_often_at_the_start(
    check: Healthcheck, version: str, expected: tuple[float | None, ...]
) -> None:
    """A deploy would else wait for the interval that is declared for a running service, at each replica."""
    checked = service_spec.held(replace(WORKER, healthcheck=check), version).healthcheck
    assert checked

    assert expected == (checked.interval, checked.start_period, checked.start_interval)


def test_what_swarm_cannot_hold_is_refused_by_its_full_name() -> None:
    """All of it, nothing is dropped."""
    odd = replace(WORKER, security_opt=("seccomp=unconfined",))

    assert [] == service_spec.refusals(STACK, WORKER)
    assert ["services.worker.security_opt"] == service_spec.refusals(STACK, odd)


def test_only_replica_is_stopped_first() -> None:
    """Where there can be two, the new one comes first."""
    two = replace(WORKER, ports=(), mounts=())
    orders = [
        service_spec.build(STACK, service_spec.held(each, NEW), "app:1", [], {}, ingress=False)["update_config"][
            "Order"
        ]
        for each in (WORKER, two)
    ]

    assert ["stop-first", "start-first"] == orders


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"container_name": "one"}, "container_name"),
        ({"options": (("network_mode", '"host"'),)}, "network_mode"),
        ({"options": (("privileged", "true"),)}, "privileged"),
        ({"options": (("mac_address", '"02:42:ac:11:65:43"'),)}, "mac_address"),
        ({"mounts": (Mount("bind", "/a", "/b"),)}, "volumes"),
        ({"mounts": (Mount("volume", "/a", "data", options=as_options({"subpath": "b"})),)}, "volumes"),
        *(
            ({"mounts": (Mount("tmpfs", "/a", options=as_options({"options": said})),)}, "tmpfs")
            for said in ("uid=1", "size=50%", "mode=u+rwx", "mode=1777,size=x")
        ),
        ({"ports": (Port(80, 8000, through=8010),)}, "ports"),
        ({"follows": ("db",)}, "depends_on"),
        ({"networks": ("n",), "endpoints": (("n", '{"ipv4_address": "10.0.0.1"}'),)}, "networks"),
    ],
)
def test_what_a_swarm_has_no_word_for_is_refused_by_its_full_name(changes: dict[str, Any], refused: str) -> None:
    """And nothing else of the service."""
    service = Service("web", "web:1", **changes)

    assert [f"services.web.{refused}"] == service_spec.refusals(Stack("p", Path(), (service,)), service)
