"""The keys of a service that become fields of a container and mean nothing else to twelfth; pure.

`FIELDS` is their only declaration: `service_keys.py` accepts these keys, and the engines create containers with these
fields and compare them. Keys: https://github.com/compose-spec/compose-spec/blob/main/05-services.md. Fields:
`POST /containers/create`, https://docs.docker.com/reference/api/engine/version/v1.41/. Compose does the same in
https://github.com/docker/compose/blob/main/pkg/compose/create.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twelfth.model.service import Options

    Body = dict[str, Any]

OF_SERVICE = "service:"
"""Prefix of a value that means a replica of a service, whose namespace a container shares."""


def values(options: Options) -> Body:
    """Return the options as a mapping, by Compose's keys."""
    return {key: json.loads(value) for key, value in options}


def body(options: Options) -> Body:
    """Return the options as fields of a container's body."""
    config: Body = {}
    host: Body = {}
    for key, value in values(options).items():
        if key in FIELDS:
            field = FIELDS[key]
            (host if field.is_of_host else config)[field.name] = field.convert(value)
    return config | {"HostConfig": host | _blkio(values(options).get("blkio_config", {}))}


def _as_is(value: object) -> object:
    return value


@dataclass(frozen=True)
class Field:
    """A field of a container's HostConfig, or else of its configuration, and how a key's value is converted to it."""

    name: str
    convert: Callable[[Any], object] = _as_is
    is_of_host: bool = True


def _ports(exposed: Iterable[str]) -> Body:
    fields: Body = {}
    for entry in exposed:
        ports, _, protocol = str(entry).partition("/")
        first, _, last = ports.partition("-")
        fields |= {f"{port}/{protocol or 'tcp'}": {} for port in range(int(first), int(last or first) + 1)}
    return fields


def _ulimits(limits: Body) -> list[Body]:
    pairs = {
        name: limit if isinstance(limit, dict) else {"soft": limit, "hard": limit} for name, limit in limits.items()
    }
    return [{"Name": name, "Soft": limit["soft"], "Hard": limit["hard"]} for name, limit in sorted(pairs.items())]


def _devices(devices: Iterable[Body]) -> list[Body]:
    return [
        {
            "PathOnHost": device["source"],
            "PathInContainer": device.get("target") or device["source"],
            "CgroupPermissions": device.get("permissions") or "rwm",
        }
        for device in devices
    ]


def _gpus(requests: Iterable[Body]) -> list[Body]:
    return [
        {
            "Driver": request.get("driver") or "",
            "Count": int(request.get("count") or (0 if request.get("device_ids") else -1)),
            "DeviceIDs": request.get("device_ids"),
            "Capabilities": [request.get("capabilities") or ["gpu"]],
            "Options": request.get("options"),
        }
        for request in requests
    ]


def _hosts(pairs: Iterable[str]) -> list[str]:
    return [pair.replace("=", ":", 1) for pair in pairs]


BLKIO = {
    "device_read_bps": "BlkioDeviceReadBps",
    "device_read_iops": "BlkioDeviceReadIOps",
    "device_write_bps": "BlkioDeviceWriteBps",
    "device_write_iops": "BlkioDeviceWriteIOps",
    "weight": "BlkioWeight",
    "weight_device": "BlkioWeightDevice",
}
"""The fields of HostConfig for the keys of `blkio_config`."""


def _blkio(config: Body) -> Body:
    return {BLKIO[key]: value if key == "weight" else list(map(_device_rate, value)) for key, value in config.items()}


def _device_rate(limit: Body) -> Body:
    numbers = {name.capitalize(): int(limit[name]) for name in ("weight", "rate") if name in limit}
    return {"Path": limit["path"]} | numbers


FIELDS: dict[str, Field] = {
    "annotations": Field("Annotations"),
    "cap_add": Field("CapAdd"),
    "cgroup": Field("CgroupnsMode"),
    "cgroup_parent": Field("CgroupParent"),
    "cpu_count": Field("CpuCount", int),
    "cpu_percent": Field("CpuPercent", int),
    "cpu_period": Field("CpuPeriod", int),
    "cpu_quota": Field("CpuQuota", int),
    "cpu_rt_period": Field("CpuRealtimePeriod", int),
    "cpu_rt_runtime": Field("CpuRealtimeRuntime", int),
    "cpu_shares": Field("CpuShares", int),
    "cpuset": Field("CpusetCpus"),
    "device_cgroup_rules": Field("DeviceCgroupRules"),
    "devices": Field("Devices", _devices),
    "dns": Field("Dns"),
    "dns_opt": Field("DnsOptions"),
    "dns_search": Field("DnsSearch"),
    "domainname": Field("Domainname", is_of_host=False),
    "entrypoint": Field("Entrypoint", is_of_host=False),
    "expose": Field("ExposedPorts", _ports, is_of_host=False),
    "extra_hosts": Field("ExtraHosts", _hosts),
    "gpus": Field("DeviceRequests", _gpus),
    "group_add": Field("GroupAdd"),
    "hostname": Field("Hostname", is_of_host=False),
    "ipc": Field("IpcMode"),
    "isolation": Field("Isolation"),
    "labels": Field("Labels", is_of_host=False),
    "mac_address": Field("MacAddress", is_of_host=False),
    "mem_reservation": Field("MemoryReservation", int),
    "mem_swappiness": Field("MemorySwappiness", int),
    "memswap_limit": Field("MemorySwap", int),
    "network_mode": Field("NetworkMode"),
    "oom_kill_disable": Field("OomKillDisable"),
    "oom_score_adj": Field("OomScoreAdj", int),
    "pid": Field("PidMode"),
    "privileged": Field("Privileged"),
    "runtime": Field("Runtime"),
    "shm_size": Field("ShmSize", int),
    "stdin_open": Field("OpenStdin", is_of_host=False),
    "stop_signal": Field("StopSignal", is_of_host=False),
    "storage_opt": Field("StorageOpt"),
    "sysctls": Field("Sysctls"),
    "tty": Field("Tty", is_of_host=False),
    "ulimits": Field("Ulimits", _ulimits),
    "userns_mode": Field("UsernsMode"),
    "uts": Field("UTSMode"),
    "volume_driver": Field("VolumeDriver"),
    "working_dir": Field("WorkingDir", is_of_host=False),
}

KEYS = frozenset({*FIELDS, "blkio_config", "links"})
"""All keys of this kind; `links` becomes a field of a container's networks."""
