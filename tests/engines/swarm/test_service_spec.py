"""Translating a container's body to a Swarm service and back loses nothing, and no part depends on one machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engines.docker_api.values import REQUEST
from twelfth.compose.proxy import with_proxy
from twelfth.engines.docker_api import identity, run_spec
from twelfth.engines.docker_api.recipe import found_recipe, wanted_recipe
from twelfth.engines.swarm import service_spec
from twelfth.model.service import Healthcheck, Limits, Logging, Mount, Port, Service, as_options
from twelfth.model.snapshot import differences
from twelfth.model.stack import Network, Proxy, Stack, Volume

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


def spec(version: str = NEW) -> dict[str, object]:
    """Return the worker's specification for an API of that version."""
    return service_spec.build(
        STACK, service_spec.supported(WORKER, version), "app:1", [REFERENCE], DIGESTS, ingress=False
    )


def as_service(spec: dict[str, object]) -> dict[str, object]:
    """Return the API's answer for a service with this specification."""
    return {"Spec": {"Name": spec["name"], "Labels": spec["labels"], "EndpointSpec": spec["endpoint_spec"]}}


@pytest.mark.parametrize("version", [OLD, NEW])
def test_second_up_has_nothing_to_do(version: str) -> None:
    """The service has the settings of the declaration."""
    wanted = spec(version)
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), IMAGE, NETWORKS)  # type: ignore[arg-type]

    recipe = wanted_recipe(STACK, service_spec.supported(WORKER, version), IMAGE, DIGESTS)
    assert () == differences(recipe, found_recipe(found, DIGESTS))


IMAGES = {
    "plain": IMAGE,
    "with a healthcheck": {"Id": "2", "Config": {"Healthcheck": {"Test": ["CMD", "ask"], "Interval": 7_000_000_000}}},
    "with a volume": {
        "Id": "3",
        "Config": {"Entrypoint": ["enter"], "Cmd": ["on"], "User": "app", "WorkingDir": "/app"},
    },
}
"""Inspected images, whose defaults apply if a service declares nothing."""


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
def test_settings_are_read_back_as_they_were_declared(
    changes: dict[str, Any], version: str, image: dict[str, Any]
) -> None:
    """Otherwise each `up` would roll out the service again."""
    worker = replace(WORKER, **changes)
    stack, supported = replace(STACK, services=(worker,)), service_spec.supported(worker, version)
    wanted = service_spec.build(stack, supported, "app:1", [REFERENCE], DIGESTS, ingress=False)
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), image, NETWORKS)

    assert [] == service_spec.refusals(stack, worker)
    assert () == differences(wanted_recipe(stack, supported, image, DIGESTS), found_recipe(found, DIGESTS))


def test_no_task_mounts_a_file_of_the_operators_machine() -> None:
    """It can be placed on any node: its configuration comes from Swarm."""
    container = spec()["task_template"]["ContainerSpec"]  # type: ignore[index]

    assert {"volume", "tmpfs"} == {mount["Type"] for mount in container["Mounts"]}
    assert [REFERENCE] == container["Configs"]


def test_volume_has_the_labels_of_the_stack() -> None:
    """They are Compose's labels, for any name of the project."""
    [volume] = [mount for mount in spec()["task_template"]["ContainerSpec"]["Mounts"] if mount["Type"] == "volume"]  # type: ignore[index]

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
def test_volume_is_created_as_declared_and_not_if_it_is_external(volume: Volume, options: dict[str, object]) -> None:
    """So `down --volumes` never removes an external one."""
    worker = replace(WORKER, mounts=(Mount("volume", "/data", "data", options=as_options({"nocopy": True})),))
    stack = replace(STACK, services=(worker,), volumes=(volume,))
    task = service_spec.build(stack, service_spec.supported(worker, NEW), "app:1", [], {}, ingress=False)[
        "task_template"
    ]
    [mount] = task["ContainerSpec"]["Mounts"]

    assert (volume.known_as or "p_q_data", options) == (mount["Source"], mount["VolumeOptions"])


def test_run_gets_new_anonymous_volumes() -> None:
    """The specification of a task has them without a name, so a run cannot mount the same ones."""
    worker = replace(WORKER, mounts=(Mount("volume", "/cache"), Mount("volume", "/data", "data")))
    stack = replace(STACK, services=(worker,))
    wanted = service_spec.build(stack, service_spec.supported(worker, NEW), "app:1", [], {}, ingress=False)
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), IMAGE, NETWORKS)
    run = run_spec.body(found, REQUEST)
    mounts = run["HostConfig"]["Mounts"]

    assert "" == run["Hostname"]
    assert ("environment.TOKEN",) == identity.differences(found, run_spec.planned(found, REQUEST), REQUEST)
    assert {"/cache": None, "/data": "p_q_data"} == {each["Target"]: each.get("Source") for each in mounts}


def test_secrets_that_only_a_task_can_get_are_named() -> None:
    """A run cannot get them."""
    task: dict[str, Any] = {"ContainerSpec": {"Secrets": [{"SecretName": "token"}]}}

    assert ["token"] == service_spec.secrets(task)
    assert [] == service_spec.secrets(spec()["task_template"])  # type: ignore[arg-type]


def test_run_that_is_made_from_a_task_belongs_to_its_service() -> None:
    """Its labels name the project and the service."""
    wanted = spec()
    found = service_spec.inspected(wanted["task_template"], as_service(wanted), IMAGE, NETWORKS)  # type: ignore[arg-type]

    labels = found["Config"]["Labels"]
    assert ("p_q", "worker") == (labels["com.docker.compose.project"], labels["com.docker.compose.service"])


def test_lost_protection_is_named() -> None:
    """It depends on the version of the API; no version supports a port's host address."""
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
    """Otherwise a deploy would wait for the interval of a running service at each replica."""
    checked = service_spec.supported(replace(WORKER, healthcheck=check), version).healthcheck
    assert checked

    assert expected == (checked.interval, checked.start_period, checked.start_interval)


def test_unsupported_security_option_is_refused_by_its_full_name() -> None:
    """Supported ones are not refused."""
    odd = replace(WORKER, security_opt=("seccomp=unconfined",))

    assert [] == service_spec.refusals(STACK, WORKER)
    assert ["services.worker.security_opt"] == service_spec.refusals(STACK, odd)


def test_generated_proxy_is_refused() -> None:
    """Swarm spreads the requests on a published port itself."""
    app = Service("app", "app:1", networks=("default",), ports=(Port(8000, 80),))
    stack = with_proxy(Stack("p", Path(), (app,), proxy=Proxy("app", 8000)))

    assert ["x-twelfth.proxy"] == [name for service in stack.services for name in service_spec.refusals(stack, service)]


def test_only_replica_is_stopped_first() -> None:
    """If there can be two, the new one starts first."""
    two = replace(WORKER, ports=(), mounts=())
    orders = [
        service_spec.build(STACK, service_spec.supported(each, NEW), "app:1", [], {}, ingress=False)["update_config"][
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
def test_unsupported_setting_is_refused_by_its_full_name(changes: dict[str, Any], refused: str) -> None:
    """No other setting of the service is refused."""
    service = Service("web", "web:1", **changes)

    assert [f"services.web.{refused}"] == service_spec.refusals(Stack("p", Path(), (service,)), service)
