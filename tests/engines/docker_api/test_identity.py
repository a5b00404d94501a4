"""Differences between a run and its worker are named."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engines.docker_api.values import REQUEST, as_asked, inspected
from twelfth.engines.docker_api import identity


def test_requested_differences_are_named() -> None:
    """An override has its name; the variables that identify the run are no difference."""
    assert ("environment.TOKEN",) == identity.differences(inspected(), as_asked(), REQUEST)
    assert () == identity.unrequested(inspected(), as_asked(), REQUEST)


def changed(run: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return an inspected container with another value at a path, such as HostConfig.Memory."""
    first, _, rest = path.partition(".")
    return run | {first: changed(run[first], rest, value) if rest else value}


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        ("Image", "sha256:2", "image"),
        ("Config.User", "0", "user"),
        ("Config.Entrypoint", ["env"], "Entrypoint"),
        ("Config.WorkingDir", "/", "WorkingDir"),
        ("NetworkSettings.Networks", {"p_front": {}}, "network.p_back"),
        ("NetworkSettings.Networks", {"p_front": {}, "p_back": {}, "q": {}}, "network.q"),
        ("HostConfig.NetworkMode", "container:another", "NetworkMode"),
        ("NetworkSettings.Networks", {"p_front": {}, "p_back": {}, "bridge": {}}, "network.bridge"),
        ("HostConfig.NanoCpus", 7, "limits.cpus"),
        ("HostConfig.Memory", 7, "limits.memory"),
        ("HostConfig.PidsLimit", 8, "limits.pids"),
        ("HostConfig.ReadonlyRootfs", False, "read_only"),
        ("HostConfig.CapDrop", [], "cap_drop"),
        ("HostConfig.SecurityOpt", ["seccomp=unconfined"], "security_opt"),
        ("HostConfig.Tmpfs", {}, "tmpfs./t"),
        ("HostConfig.Mounts", [], "Mounts"),
        ("HostConfig.Binds", ["/x:/y"], "bind./y"),
        *((f"HostConfig.{name}", "otherwise", name) for name in ("IpcMode", "PidMode", "UTSMode", "UsernsMode")),
        *((f"HostConfig.{name}", ["x"], name) for name in ("CapAdd", "Devices", "Dns", "ExtraHosts", "GroupAdd")),
        *((f"HostConfig.{name}", {"x": "1"}, name) for name in ("Sysctls", "StorageOpt")),
        *((f"HostConfig.{name}", True, name) for name in ("AutoRemove", "Privileged", "PublishAllPorts")),
        ("HostConfig.Init", False, "Init"),
        ("HostConfig.PortBindings", {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}, "PortBindings"),
        ("HostConfig.RestartPolicy", {"Name": "always", "MaximumRetryCount": 0}, "RestartPolicy"),
        ("HostConfig.AnythingNew", 1, "AnythingNew"),
    ],
)
def test_unrequested_difference_is_named(path: str, value: object, name: str) -> None:
    """The worker may lack the setting."""
    assert (name,) == identity.unrequested(inspected(), changed(as_asked(), path, value), REQUEST)


def test_anonymous_volume_is_no_difference() -> None:
    """Its name is generated; a named volume is the same for both."""
    own, other = ({"Type": "volume", "Name": name * 64, "Destination": "/cache"} for name in "ab")
    worker = inspected(Mounts=[*inspected()["Mounts"], own])

    assert () == identity.unrequested(worker, as_asked(Mounts=[*as_asked()["Mounts"], other]), REQUEST)
    assert ("config./etc/a", "volume./data") == identity.unrequested(worker, as_asked(Mounts=[other]), REQUEST)


@pytest.mark.parametrize(
    ("env", "names"),
    [
        (["HOST_REDIS=else"], ("environment.HOST_REDIS",)),
        (["EXTRA=1"], ("environment.EXTRA",)),
        (["TOKEN=other"], ("environment.TOKEN",)),
        (["TWELFTH_RUN=other"], ("environment.TWELFTH_RUN",)),
    ],
)
def test_wrong_environment_is_named(env: list[str], names: tuple[str, ...]) -> None:
    """It can be a variable of the worker, an additional one, or an override with another value."""
    run = as_asked()
    run["Config"] = run["Config"] | {"Env": [*run["Config"]["Env"], *env]}

    assert names == identity.unrequested(inspected(), run, REQUEST)
