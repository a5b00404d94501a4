"""A stack of one service, its image, its container as the Engine API reports it, and a request of a run, as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twelfth.engines.docker_api import container_spec, run_spec
from twelfth.model.run import RunRequest
from twelfth.model.service import Build, Healthcheck, Limits, Mount, Port, Service
from twelfth.model.snapshot import Replica
from twelfth.model.stack import Network, Stack

WORKER = Service(
    "worker",
    "app:0123456789ab",
    build=Build(Path("/src")),
    environment=(("HOST_REDIS", "redis"),),
    networks=("front", "back"),
    mounts=(
        Mount("tmpfs", "/t"),
        Mount("volume", "/data", "data"),
        Mount("config", "/etc/a", "/src/a", read_only=True),
    ),
    ports=(Port(8000, 8001, "127.0.0.1"),),
    read_only=True,
    cap_drop=("ALL",),
    limits=Limits(0.5, 1 << 20, 7),
    healthcheck=Healthcheck(("CMD", "true"), interval=5),
    restart="unless-stopped",
    stop_grace=2.5,
)
STACK = Stack(
    "p", Path("/src"), (WORKER,), (Network("front"), Network("back")), files=(Path("/src/a.yml"), Path("/b.yml"))
)
IMAGE: dict[str, Any] = {
    "Id": "sha256:1",
    "RepoTags": ["app:0123456789ab"],
    "Config": {"Env": ["PATH=/bin", "HOST_REDIS=nowhere"], "Cmd": ["serve"], "User": "10001", "WorkingDir": "/app"},
}
REPLICA = Replica("worker", 1, "c1", "running", {}, release="0123456789ab", image="sha256:1")
REQUEST = RunRequest(
    "abcd1234",
    ("printenv", "A B"),
    REPLICA,
    environment=(("TOKEN", "hush"),),
    operator="ann",
    reason="why",
    is_admin_process=True,
)


def inspected(**changes: Any) -> dict[str, Any]:
    """Return what the engine would report of a running worker."""
    made = container_spec.body(STACK, WORKER, container_spec.labels(STACK, WORKER, 1, {"config./etc/a": "d1"}))
    config = {**IMAGE["Config"], **{name: made[name] for name in ("Labels", "Healthcheck", "StopTimeout")}}
    config["Env"] = ["PATH=/bin", *made["Env"]]
    return {
        "Id": "c1",
        "Name": "/p-worker-1",
        "Image": "sha256:1",
        "Config": config,
        "HostConfig": made["HostConfig"],
        "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
        "Mounts": [
            {"Type": "volume", "Name": "p_data", "Destination": "/data"},
            {"Type": "bind", "Source": "/src/a", "Destination": "/etc/a"},
        ],
        "NetworkSettings": {
            "Networks": {"p_front": {}, "p_back": {}},
            "Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]},
        },
    } | changes


def as_asked(**changes: Any) -> dict[str, Any]:
    """Return what the engine would report of a correctly created run of REQUEST."""
    run, made = inspected(), run_spec.body(inspected(), REQUEST)
    return run | {"Config": made, "HostConfig": run["HostConfig"] | run_spec.RUN_SETTINGS} | changes
