"""Report a created container as the daemon does, with the settings that it adds and rewrites.

This follows moby (https://github.com/moby/moby: runconfig, daemon/create.go, daemon/container.go).
`tests/test_oracle.py` uses a real daemon.
"""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]
IDENTITY = "c" * 64
ADDED_LOG = {"max-size": "10m", "compress": "true"}
"""Options of the log that the daemon's own configuration adds."""


def report(body: Body, image: Body, name: str, endpoints: Body) -> Body:
    """Return what the daemon answers of a container with this body, image, name and networks."""
    config, host = _config(body, image), _host(body)
    return {
        "Id": IDENTITY,
        "Name": f"/{name}",
        "Image": image["Id"],
        "Config": config,
        "HostConfig": host,
        "State": {"Status": "running", "ExitCode": 0},
        "Mounts": _mounts(body, config),
        "NetworkSettings": {"Networks": _networks(body, name, endpoints), "Ports": {}},
    }


def _config(body: Body, image: Body) -> Body:
    own, default = {key: value for key, value in body.items() if key != "HostConfig"}, image["Config"]
    env = {pair.split("=")[0]: pair for pair in default.get("Env", [])} | {
        pair.split("=")[0]: pair for pair in own.get("Env") or []
    }
    published: Body = {port: {} for port in body["HostConfig"].get("PortBindings") or {}}
    config = {**own, "Env": list(env.values())}
    if not own.get("Entrypoint"):
        config["Cmd"] = own.get("Cmd") or default.get("Cmd")
        config["Entrypoint"] = default.get("Entrypoint") if own.get("Entrypoint") is None else []
    for key in ("User", "WorkingDir", "StopSignal"):
        config[key] = own.get(key) or default.get(key) or ""
    config["WorkingDir"] = config["WorkingDir"].rstrip("/") or config["WorkingDir"]
    for key in ("Labels", "ExposedPorts", "Volumes"):
        config[key] = {**(default.get(key) or {}), **(own.get(key) or {})}
    config["ExposedPorts"] |= published
    check, usual = own.get("Healthcheck") or {}, default.get("Healthcheck") or {}
    config["Healthcheck"] = {key: check.get(key) or usual.get(key) for key in {*check, *usual}} or None
    is_of_host = "host" in (body["HostConfig"]["NetworkMode"], body["HostConfig"].get("UTSMode"))
    config["Hostname"] = own.get("Hostname") or ("machine" if is_of_host else IDENTITY[:12])
    config["Domainname"] = own.get("Domainname") or ""
    if body["HostConfig"]["NetworkMode"].startswith(("container:", "service:")):
        config |= {"Hostname": "f" * 12, "Domainname": "of.another"}
    return config


def _host(body: Body) -> Body:
    host = dict(body["HostConfig"])
    modes = {"IpcMode": "private", "CgroupnsMode": "host", "Runtime": "runc", "ShmSize": 64 << 20}
    for key, usual in modes.items():
        host[key] = host.get(key) or usual
    for key in ("NetworkMode", "IpcMode", "PidMode"):
        kind, colon, _ = (host.get(key) or "").partition(":")
        host[key] = "container:" + "f" * 64 if colon and kind == "service" else host.get(key)
    for key in ("CapAdd", "CapDrop"):
        names = [name.upper().removeprefix("CAP_") for name in host.get(key) or []]
        host[key] = [name if name == "ALL" else f"CAP_{name}" for name in names]
    if host.get("Privileged") or "host" in (host.get("PidMode"), host.get("IpcMode")):
        host["SecurityOpt"] = [*host["SecurityOpt"], "label=disable"]
    if host.get("Memory") and not host.get("MemorySwap"):
        host["MemorySwap"] = 2 * host["Memory"]
    if host["LogConfig"]["Type"] in {"", "json-file"}:
        host["LogConfig"] = {"Type": "json-file", "Config": ADDED_LOG | host["LogConfig"]["Config"]}
    return host


def _mounts(body: Body, config: Body) -> list[Body]:
    host = body["HostConfig"]
    found = {}
    for bind in host["Binds"]:
        source, target, mode = bind.split(":")
        kind = {"Type": "bind", "Source": source} if source.startswith("/") else {"Type": "volume", "Name": source}
        found[target] = kind | {"RW": "ro" not in mode.split(",")}
    for mount in host["Mounts"]:
        name = {"Name": mount.get("Source", "d" * 64)} if mount["Type"] == "volume" else {}
        found[mount["Target"]] = {"Type": mount["Type"], "RW": not mount.get("ReadOnly"), **name}
    for target in {*config["Volumes"]} - {*found, *host["Tmpfs"]}:
        found[target] = {"Type": "volume", "Name": "e" * 64, "RW": True}
    return [mount | {"Destination": target} for target, mount in found.items()]


def _networks(body: Body, name: str, endpoints: Body) -> Body:
    mode = body["HostConfig"]["NetworkMode"]
    if mode in {"host", "none", "bridge"}:
        return {mode: {"Aliases": None, "Links": None, "IPAMConfig": None, "DriverOpts": None}}
    if mode.startswith(("container:", "service:")):
        return {}
    return {network: _endpoint(body, name, settings) for network, settings in endpoints.items()}


def _endpoint(body: Body, name: str, settings: Body) -> Body:
    own = [name, IDENTITY[:12], *filter(None, [body.get("Hostname")])]
    return (
        {"Links": None, "IPAMConfig": None, "DriverOpts": None}
        | settings
        | {"Aliases": [*settings.get("Aliases", ()), *own]}
    )
