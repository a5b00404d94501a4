"""What is said to the Engine API, and what is read back from it, as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twelfth.engines.docker import recipe, run_container
from twelfth.model.run import RunRequest
from twelfth.model.snapshot import Replica, differences
from twelfth.model.stack import Build, Healthcheck, Limits, Mount, Network, Port, Service, Stack

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
ORDER = RunRequest(
    "abcd1234",
    ("printenv", "A B"),
    REPLICA,
    environment=(("TOKEN", "hush"),),
    operator="ann",
    reason="why",
    is_told=True,
)


def inspected(**changes: Any) -> dict[str, Any]:
    """Return what the engine would report of a worker of ours that runs."""
    made = recipe.body(STACK, WORKER, recipe.labels(STACK, WORKER, 1, {"config./etc/a": "d1"}))
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


def test_container_that_was_made_as_wanted_shows_no_difference() -> None:
    """The recipe said and the recipe read back are the same, so a second `up` has nothing to do."""
    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d1"})

    assert () == differences(wanted, recipe.found_recipe(inspected()))


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        (("Image",), "sha256:2", "image"),
        (("Config", "User"), "0", "user"),
        (("Config", "Env"), ["PATH=/bin", "HOST_REDIS=else"], "environment.HOST_REDIS"),
        (("HostConfig", "Memory"), 5, "limits.memory"),
        (("HostConfig", "ReadonlyRootfs"), False, "read_only"),
        (("NetworkSettings", "Networks"), {"p_front": {}}, "network.p_back"),
    ],
)
def test_difference_is_found_and_named(path: tuple[str, ...], value: object, name: str) -> None:
    """Whatever was changed behind our back is the cause of the step."""
    found = inspected()
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d1"})
    assert (name,) == differences(wanted, recipe.found_recipe(found))


def test_container_of_composes_is_not_held_to_what_it_cannot_tell() -> None:
    """Compose does not record what a configuration file held."""
    found = inspected()
    found["Config"]["Labels"] = {
        name: value for name, value in found["Config"]["Labels"].items() if "twelfth" not in name
    }

    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d2"})
    assert () == differences(wanted, recipe.found_recipe(found))


def test_labels_name_the_files_that_were_read() -> None:
    """`docker compose` finds there with which files it can manage the stack; all of them, and where."""
    labels = recipe.labels(STACK, WORKER, 1, {})

    assert "/src/a.yml,/b.yml" == labels["com.docker.compose.project.config_files"]
    assert "/src" == labels["com.docker.compose.project.working_dir"]


def test_release_is_told_by_label_even_where_the_tag_has_moved() -> None:
    """A tag is only a name; what was written on the container when it was made stays."""
    moved = IMAGE | {"RepoTags": ["app:ffffffffffff"]}

    assert "0123456789ab" == recipe.running(inspected(), moved).release


def test_run_is_made_of_the_workers_image_id_environment_and_networks() -> None:
    """By id, not by tag; with the override; on the same networks."""
    body = run_container.body(inspected(), ORDER)

    assert "sha256:1" == body["Image"]
    told = ["TWELFTH_OPERATOR=ann", "TWELFTH_RELEASE=0123456789ab", "TWELFTH_RUN=abcd1234"]
    assert ["PATH=/bin", "HOST_REDIS=redis", "TOKEN=hush", *told] == body["Env"]
    assert {"p_front"} == set(body["NetworkingConfig"]["EndpointsConfig"])
    assert ["p_front", "p_back"] == run_container.networks(inspected())


def test_variable_that_compose_left_unset_stays_unset() -> None:
    """A name without `=` takes a variable of the image's away; with an empty value it would be there."""
    worker = inspected()
    worker["Config"]["Env"] = [*worker["Config"]["Env"], "REDIS_URL"]

    assert "REDIS_URL" in run_container.body(worker, ORDER)["Env"]


def test_run_leaves_behind_what_makes_a_service() -> None:
    """No port, no restart, no healthcheck, and no name that the door would send visitors to."""
    body = run_container.body(inspected(), ORDER)

    assert {} == body["HostConfig"]["PortBindings"]
    assert "no" == body["HostConfig"]["RestartPolicy"]["Name"]
    assert {"Test": ["NONE"]} == body["Healthcheck"]
    assert {"p_front": {}} == body["NetworkingConfig"]["EndpointsConfig"]


def test_no_value_of_an_override_is_in_the_record() -> None:
    """Labels are for everybody to read: they hold names only."""
    labels = run_container.labels(inspected(), ORDER)

    assert not [value for value in labels.values() if "hush" in value]
    assert '["TOKEN"]' == labels["twelfth.run.overrides"]


def test_time_limit_is_kept_inside_the_container() -> None:
    """The first program is timeout of coreutils, so the limit needs no client."""
    limited = RunRequest("a", ("sleep", "9"), REPLICA, timeout=1.5)

    assert ["timeout", "--kill-after=3", "1.5", "sleep", "9"] == run_container.body(inspected(), limited)["Cmd"]


def as_asked(**changes: Any) -> dict[str, Any]:
    """Return what the engine would report of a run of ORDER's that was made as it should be."""
    run, made = inspected(), run_container.body(inspected(), ORDER)
    return run | {"Config": made, "HostConfig": run["HostConfig"] | run_container.RUNS_OWN} | changes


def test_run_that_was_made_as_asked_shows_only_what_was_asked() -> None:
    """An override by its name; that it is told who it is, is no difference."""
    assert ("environment.TOKEN",) == run_container.unlike(inspected(), as_asked(), ORDER)
    assert () == run_container.unasked(inspected(), as_asked(), ORDER)


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
        ("HostConfig.NanoCpus", 7, "limits.cpus"),
        ("HostConfig.Memory", 7, "limits.memory"),
        ("HostConfig.PidsLimit", 8, "limits.pids"),
        ("HostConfig.ReadonlyRootfs", False, "read_only"),
        ("HostConfig.CapDrop", [], "cap_drop"),
        ("HostConfig.SecurityOpt", ["seccomp=unconfined"], "security_opt"),
        ("HostConfig.Tmpfs", {}, "tmpfs./t"),
        ("HostConfig.Mounts", [], "Mounts"),
        *((f"HostConfig.{name}", "otherwise", name) for name in ("IpcMode", "PidMode", "UTSMode", "UsernsMode")),
        *(
            (f"HostConfig.{name}", ["x"], name)
            for name in ("Binds", "CapAdd", "Devices", "Dns", "ExtraHosts", "GroupAdd")
        ),
        *((f"HostConfig.{name}", {"x": "1"}, name) for name in ("Sysctls", "StorageOpt")),
        *((f"HostConfig.{name}", True, name) for name in ("AutoRemove", "Privileged", "PublishAllPorts")),
        ("HostConfig.Init", False, "Init"),
        ("HostConfig.PortBindings", {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}, "PortBindings"),
        ("HostConfig.RestartPolicy", {"Name": "always", "MaximumRetryCount": 0}, "RestartPolicy"),
        ("HostConfig.AnythingNew", 1, "AnythingNew"),
    ],
)
def test_run_that_would_differ_is_told_by_name(path: str, value: object, name: str) -> None:
    """Whatever it is, and whether the worker has such a setting at all."""
    assert (name,) == run_container.unasked(inspected(), changed(as_asked(), path, value), ORDER)


@pytest.mark.parametrize(
    ("env", "names"),
    [
        (["HOST_REDIS=else"], ("environment.HOST_REDIS",)),
        (["EXTRA=1"], ("environment.EXTRA",)),
        (["TOKEN=other"], ("environment.TOKEN",)),
        (["TWELFTH_RUN=other"], ("environment.TWELFTH_RUN",)),
    ],
)
def test_environment_that_is_not_as_asked_is_told_by_name(env: list[str], names: tuple[str, ...]) -> None:
    """A variable of the worker's, one of nobody's, and the wrong value of one that was asked for."""
    run = as_asked()
    run["Config"] = run["Config"] | {"Env": [*run["Config"]["Env"], *env]}

    assert names == run_container.unasked(inspected(), run, ORDER)


@pytest.mark.parametrize(
    ("code", "seconds", "limit", "expected"),
    [(124, 2, "1", 124), (137, 12, "1", 124), (137, 0.5, "1", 137), (0, 2, "1", 0), (137, 2, "", 137), (3, 2, "1", 3)],
)
def test_exit_code_tells_a_timeout_from_a_kill(code: int, seconds: float, limit: str, expected: int) -> None:
    """124 only where the time was over."""
    run = inspected(
        State={
            "Status": "exited",
            "ExitCode": code,
            "StartedAt": "2026-01-01T00:00:00.000000001Z",
            "FinishedAt": f"2026-01-01T00:00:{seconds:09.6f}999Z",
        },
    )
    run["Config"] = run["Config"] | {"Labels": {"twelfth.run.timeout": limit}}

    assert expected == run_container.exit_code(run)


def test_programs_own_124_before_its_time_is_over_is_a_failure() -> None:
    """The record tells it from a timeout."""
    state = {"Status": "exited", "ExitCode": 124}
    times = {"StartedAt": "2026-01-01T00:00:00.000000001Z", "FinishedAt": "2026-01-01T00:00:01.5Z"}
    run = inspected(State=state | times)
    limited = RunRequest("a", ("x",), REPLICA, timeout=9)
    run["Config"] = run["Config"] | {"Labels": run_container.labels(run, limited)}

    assert ("failed", 124) == (run_container.record(run).state, run_container.record(run).exit_code)


def test_room_is_made_by_age_within_a_second_too_and_not_at_the_cost_of_one_that_starts() -> None:
    """The list is the newest first, and its times are whole seconds."""
    listed = [{"Id": name, "State": "exited", "Created": 100} for name in "dcba"]
    starting, dead = ({"Id": name, "State": "created", "Created": at} for name, at in (("s", 100), ("x", 30)))

    assert ["b", "a", "x"] == [each["Id"] for each in run_container.prunable([starting, *listed, dead], 2, now=101)]
