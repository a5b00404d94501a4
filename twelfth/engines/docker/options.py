"""What a Compose file says of a container, and nothing else has to understand, as the Engine API has it; pure.

A line a key of Compose's canonical model (https://github.com/compose-spec/compose-spec/blob/main/05-services.md): what
it becomes in the body of `POST /containers/create` (https://docs.docker.com/reference/api/engine/version/v1.41/). What
Compose makes of each is in its create.go (https://github.com/docker/compose/blob/main/pkg/compose/create.go).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twelfth.model.stack import Options

    Body = dict[str, Any]
    Key = Callable[[Any], Body]

OF_SERVICE = "service:"
"""Beginning of a value that stands for a replica of a service, to whose namespace a container is to hold on."""


def body(options: Options) -> Body:
    """Return what keys of the model become in a container's body."""
    made: Body = {"HostConfig": {}}
    for key, value in options:
        part = KEYS[key](json.loads(value))
        made |= {**part, "HostConfig": made["HostConfig"] | part.get("HostConfig", {})}
    return made


def values(options: Options) -> dict[str, Any]:
    """Return keys of the model and their values."""
    return {key: json.loads(value) for key, value in options}


def _as_is(value: object) -> object:
    return value


def _config(field: str, convert: Callable[[Any], object] = _as_is) -> Key:
    return lambda value: {field: convert(value)}


def _host(field: str, convert: Callable[[Any], object] = _as_is) -> Key:
    return lambda value: {"HostConfig": {field: convert(value)}}


def _ports(exposed: Iterable[str]) -> Body:
    """Return exposed ports, each of a range by itself."""
    found: Body = {}
    for each in exposed:
        ports, _, protocol = str(each).partition("/")
        first, _, last = ports.partition("-")
        found |= {f"{port}/{protocol or 'tcp'}": {} for port in range(int(first), int(last or first) + 1)}
    return found


def _ulimits(limits: Body) -> list[Body]:
    pairs = {name: each if isinstance(each, dict) else {"soft": each, "hard": each} for name, each in limits.items()}
    return [{"Name": name, "Soft": each["soft"], "Hard": each["hard"]} for name, each in sorted(pairs.items())]


def _devices(devices: Iterable[Body]) -> list[Body]:
    return [
        {
            "PathOnHost": each["source"],
            "PathInContainer": each.get("target") or each["source"],
            "CgroupPermissions": each.get("permissions") or "rwm",
        }
        for each in devices
    ]


def _gpus(requests: Iterable[Body]) -> list[Body]:
    return [
        {
            "Driver": each.get("driver") or "",
            "Count": int(each.get("count") or (0 if each.get("device_ids") else -1)),
            "DeviceIDs": each.get("device_ids"),
            "Capabilities": [each.get("capabilities") or ["gpu"]],
            "Options": each.get("options"),
        }
        for each in requests
    ]


def _hosts(pairs: Iterable[str]) -> list[str]:
    return [pair.replace("=", ":", 1) for pair in pairs]


def _blkio(config: Body) -> Body:
    """Return limits of what is read and written; those of a device are lists of a path and a number."""
    made: Body = {}
    for key, value in config.items():
        name = "Blkio" + "".join(map(str.capitalize, key.split("_")))
        made[name.replace("Iops", "IOps")] = value if key == "weight" else [_device_rate(each) for each in value]
    return {"HostConfig": made}


def _device_rate(each: Body) -> Body:
    return {"Path": each["path"]} | {name.capitalize(): int(each[name]) for name in ("weight", "rate") if name in each}


KEYS: dict[str, Key] = {
    "annotations": _host("Annotations"),
    "blkio_config": _blkio,
    "cap_add": _host("CapAdd"),
    "cgroup": _host("CgroupnsMode"),
    "cgroup_parent": _host("CgroupParent"),
    "cpu_count": _host("CpuCount", int),
    "cpu_percent": _host("CpuPercent", int),
    "cpu_period": _host("CpuPeriod", int),
    "cpu_quota": _host("CpuQuota", int),
    "cpu_rt_period": _host("CpuRealtimePeriod", int),
    "cpu_rt_runtime": _host("CpuRealtimeRuntime", int),
    "cpu_shares": _host("CpuShares", int),
    "cpuset": _host("CpusetCpus"),
    "device_cgroup_rules": _host("DeviceCgroupRules"),
    "devices": _host("Devices", _devices),
    "dns": _host("Dns"),
    "dns_opt": _host("DnsOptions"),
    "dns_search": _host("DnsSearch"),
    "domainname": _config("Domainname"),
    "entrypoint": _config("Entrypoint"),
    "expose": _config("ExposedPorts", _ports),
    "extra_hosts": _host("ExtraHosts", _hosts),
    "gpus": _host("DeviceRequests", _gpus),
    "group_add": _host("GroupAdd"),
    "hostname": _config("Hostname"),
    "ipc": _host("IpcMode"),
    "isolation": _host("Isolation"),
    "labels": _config("Labels"),
    "links": lambda _: {},  # of its networks
    "mac_address": _config("MacAddress"),
    "mem_reservation": _host("MemoryReservation", int),
    "mem_swappiness": _host("MemorySwappiness", int),
    "memswap_limit": _host("MemorySwap", int),
    "network_mode": _host("NetworkMode"),
    "oom_kill_disable": _host("OomKillDisable"),
    "oom_score_adj": _host("OomScoreAdj", int),
    "pid": _host("PidMode"),
    "privileged": _host("Privileged"),
    "runtime": _host("Runtime"),
    "shm_size": _host("ShmSize", int),
    "stdin_open": _config("OpenStdin"),
    "stop_signal": _config("StopSignal"),
    "storage_opt": _host("StorageOpt"),
    "sysctls": _host("Sysctls"),
    "tty": _config("Tty"),
    "ulimits": _host("Ulimits", _ulimits),
    "userns_mode": _host("UsernsMode"),
    "uts": _host("UTSMode"),
    "volume_driver": _host("VolumeDriver"),
    "working_dir": _config("WorkingDir"),
}
