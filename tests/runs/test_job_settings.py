"""Runs of jobs on a daemon: each setting that a job declares, and an image that is no service's."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import require
from tests.other_project import OtherProject

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPOSE_FILE = """
services:
  app:
    image: &image "${PYTHON_IMAGE:-python:3.13-slim}"
    command: [sleep, "600"]
    init: true
    environment: {A: "1", B: "2"}
    networks: [one]
    volumes: ["data:/data", "./here:/here:ro"]
    mem_limit: 100m
    stop_grace_period: 1s
    configs: [{source: text, target: /etc/text}]
    deploy: {update_config: {monitor: 200ms}}
networks: {one: , two: }
volumes: {data: , other: }
configs: {text: {content: of the service}, file: {content: of the job}}
x-jobs:
  tuned:
    image: *image
    command: [sh, -c, "id -u; pwd; printenv A B C; cat /etc/text"]
    cap_add: [net_admin]
    cap_drop: [all]
    configs: [{source: file, target: /etc/text}]
    cpus: 0.5
    devices: ["/dev/null:/dev/none"]
    dns: [1.1.1.1]
    domainname: example.org
    entrypoint: [env]
    environment: {A: "1", B: "9", C: "3"}
    extra_hosts: ["a:1.2.3.4"]
    group_add: ["5"]
    hostname: boxy
    init: false
    labels: {team: data}
    logging: {options: {max-size: 1m}}
    mem_limit: 64m
    networks: {one: {aliases: [helper]}, two: }
    oom_score_adj: 500
    pids_limit: 50
    read_only: true
    security_opt: ["no-new-privileges:true"]
    shm_size: 32m
    stop_grace_period: 3s
    stop_signal: SIGINT
    sysctls: {net.core.somaxconn: 100}
    tmpfs: ["/t:size=1m", /data]
    ulimits: {nofile: 100}
    user: "1000"
    volumes: ["other:/here"]
    working_dir: /tmp/
  apart: {image: "${COMPOSE_PROJECT_NAME}:apart", command: [printenv, A], environment: {A: apart}}
"""
CONFIG = {
    "Domainname": "example.org",
    "Entrypoint": ["env"],
    "Hostname": "boxy",
    "StopSignal": "SIGINT",
    "StopTimeout": 3,
    "User": "1000",
    "WorkingDir": "/tmp",
}
HOST = {
    "Dns": ["1.1.1.1"],
    "ExtraHosts": ["a:1.2.3.4"],
    "GroupAdd": ["5"],
    "Init": False,
    "Memory": 64 << 20,
    "NanoCpus": 500_000_000,
    "OomScoreAdj": 500,
    "PidsLimit": 50,
    "ReadonlyRootfs": True,
    "SecurityOpt": ["no-new-privileges:true"],
    "ShmSize": 32 << 20,
    "Sysctls": {"net.core.somaxconn": "100"},
    "Tmpfs": {"/data": "", "/t": "size=1m"},
    "Ulimits": [{"Name": "nofile", "Hard": 100, "Soft": 100}],
}
"""What the daemon reports of the run."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherProject]:
    """Yield the deployed project, and remove everything that it created."""
    require("docker")
    directory = tmp_path_factory.mktemp("jobs")
    (directory / "compose.yaml").write_text(COMPOSE_FILE)
    (directory / "here").mkdir()
    project = OtherProject(directory)
    tag(project, "REDIS_IMAGE", "redis:8")
    project.printed("up")
    yield project
    fixed = os.environ.get("REDIS_IMAGE", "redis:8")
    before = kept(project.api.inspect_image(fixed)["RepoTags"])
    project.printed("down", "--volumes", "--history", "--yes")
    project.api.remove_image(f"{project.name}:apart")
    assert before > kept(project.api.inspect_image(fixed)["RepoTags"])


def kept(names: list[str]) -> set[str]:
    """Return the names that protect the image of a job."""
    return {name for name in names if name.startswith("twelfth-kept/") and name.endswith(":apart")}


def tag(project: OtherProject, variable: str, default: str) -> str:
    """Give the separate image's tag to another image, and return the id of that."""
    image = os.environ.get(variable, default)
    project.api.tag(image, project.name, "apart")
    return str(project.api.inspect_image(image)["Id"])


def container_of(project: OtherProject, job: str) -> dict[str, Any]:
    """Return the inspected container of the only run of a job."""
    [listed] = project.api.containers(all=True, filters={"label": [f"twelfth.run.job={job}", project_label(project)]})
    container: dict[str, Any] = project.api.inspect_container(listed["Id"])
    return container


def project_label(project: OtherProject) -> str:
    """Return the label of the project's containers."""
    return f"com.docker.compose.project={project.name}"


def test_run_has_each_setting_of_its_job_and_else_those_of_the_service(project: OtherProject) -> None:
    """A variable that is the service's is not requested; `--dry` names the others, and no value."""
    planned = project.printed("--dry", "tuned")
    assert "1000\n/tmp\n1\n9\n3\nof the job" == project.printed("tuned")
    container = container_of(project, "tuned")
    host = container["HostConfig"]

    assert CONFIG == {name: container["Config"][name] for name in CONFIG}
    assert HOST == {name: host[name] for name in HOST}
    assert {"net_admin"} == {name.lower().removeprefix("cap_") for name in host["CapAdd"]}
    assert ["ALL"] == [name.upper() for name in host["CapDrop"]]
    assert "1m" == host["LogConfig"]["Config"]["max-size"]
    assert "data" == container["Config"]["Labels"]["team"]
    assert f"{project.name}_other" == next(
        each["Name"] for each in container["Mounts"] if each["Destination"] == "/here"
    )
    networks = container["NetworkSettings"]["Networks"]
    assert {f"{project.name}_one", f"{project.name}_two"} == networks.keys()
    assert "helper" in networks[f"{project.name}_one"]["Aliases"]
    names = {line.removeprefix("~ ") for line in planned.splitlines() if line.startswith("~ ")}
    assert {"environment.B", "environment.C", "cap_add", "labels", "user", "volumes", "working_dir"} <= names
    assert "environment.A" not in names


def test_typed_settings_take_precedence_over_those_of_the_job(project: OtherProject) -> None:
    """A volume at another target is added; a relative path is in the working directory."""
    options = ["-u", "12:34", "-w", "/var", "-v", "./here:/out", "-v", "data:/x:ro"]
    command = ["--", "-c", "id -u; pwd; touch /out/new /x/new || echo refused"]
    planned = project.printed("--dry", "run", *options, "--", "true")
    (project.directory / "here").chmod(0o777)
    printed = project.printed("run", *options, "--", "sh", *command[1:])

    assert "12\n/var\nrefused\n" == printed
    assert (project.directory / "here" / "new").stat().st_uid == 12
    names = ["user", "volumes", "working_dir"]
    assert [f"~ {name}" for name in names] == [line for line in planned.splitlines() if line.startswith("~")]
    [record] = [run for run in json.loads(project.printed("history", "--json")) if run["overrides"] == names]
    assert ["sh", *command[1:]] == record["command"]


def test_separate_image_is_the_one_that_up_has_fixed(project: OtherProject) -> None:
    """Another image behind its tag changes nothing, also for the next `up`; no prune removes the fixed one."""
    fixed = project.api.inspect_image(f"{project.name}:apart")["Id"]
    other = tag(project, "PYTHON_IMAGE", "python:3.13-slim")

    assert "nothing to do" in project.printed("--dry", "up")
    assert "apart\n" == project.printed("apart")
    assert fixed == container_of(project, "apart")["Image"] != other
    assert kept(project.api.inspect_image(fixed)["RepoTags"])
