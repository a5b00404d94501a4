"""The request to the Engine API that creates the container of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.engines.docker_api.values import REPLICA, REQUEST, STACK, inspected
from twelfth.engines.docker_api import container_spec, identity, run_changes, run_spec
from twelfth.errors import MisuseError
from twelfth.model.job import Changes
from twelfth.model.run import RunRequest, Terminal
from twelfth.model.service import Service


def test_run_is_made_of_the_workers_image_id_environment_and_networks() -> None:
    """The image is named by its id, not its tag."""
    body = run_spec.body(inspected(), REQUEST)

    assert "sha256:1" == body["Image"]
    told = ["TWELFTH_OPERATOR=ann", "TWELFTH_RELEASE=0123456789ab", "TWELFTH_RUN=abcd1234"]
    assert ["PATH=/bin", "HOST_REDIS=redis", "TOKEN=hush", *told] == body["Env"]
    assert ["p_front", "p_back"] == list(run_spec.endpoints(inspected(), REQUEST))


def test_variable_that_compose_left_unset_stays_unset() -> None:
    """A name without `=` removes a variable of the image; with an empty value it would exist."""
    worker = inspected()
    worker["Config"]["Env"] = [*worker["Config"]["Env"], "REDIS_URL"]

    assert "REDIS_URL" in run_spec.body(worker, REQUEST)["Env"]


def routed() -> dict[str, Any]:
    """Return an inspected worker to which proxies that watch containers send requests."""
    worker = inspected()
    variables = ["VIRTUAL_HOST=a.example", "VIRTUAL_HOST_MULTIPORTS={}", "LETSENCRYPT_HOST=a.example", "VIRTUAL_ENV=/v"]
    labels = {"traefik.enable": "true", "caddy": "a.example", "caddy.reverse_proxy": "{{upstreams 80}}"}
    config = worker["Config"]
    changed = {"Env": [*config["Env"], *variables], "Labels": config["Labels"] | labels, "ExposedPorts": {"80/tcp": {}}}
    return worker | {"Config": config | changed}


def test_run_has_nothing_by_which_a_proxy_that_watches_containers_finds_it() -> None:
    """The variables of nginx-proxy and its companion, the labels of Traefik and Caddy, and ports are not inherited."""
    worker = routed()
    body = run_spec.body(worker, REQUEST)

    names = {pair.partition("=")[0] for pair in body["Env"]}
    assert {"VIRTUAL_ENV"} == names & {"VIRTUAL_ENV", *run_spec.ROUTED_BY}
    assert not [name for name in body["Labels"] if not name.startswith(("com.docker.compose.", "twelfth."))]
    assert "ExposedPorts" not in body
    assert {} == body["HostConfig"]["PortBindings"]
    assert () == identity.unrequested(worker, worker | {"Config": body, "HostConfig": body["HostConfig"]}, REQUEST)


def test_variable_of_a_proxy_that_is_declared_for_a_run_stays() -> None:
    """It is given with --env, or declared by the job."""
    given = replace(REQUEST, environment=(("VIRTUAL_HOST", "b.example"),))
    job = Service("job", "", environment=(("VIRTUAL_HOST", "b.example"),))
    by_job = replace(REQUEST, changes=Changes(job, frozenset({"environment"})))
    worker = run_changes.changed(STACK, routed(), by_job.changes)

    for source, request in ((routed(), given), (worker, by_job)):
        body = run_spec.body(source, request)
        run = source | {"Config": body, "HostConfig": body["HostConfig"]}
        assert "VIRTUAL_HOST=b.example" in body["Env"]
        assert "LETSENCRYPT_HOST=a.example" not in body["Env"]
        assert "environment.VIRTUAL_HOST" not in identity.unrequested(source, run, request)


@pytest.mark.parametrize(
    "words", [{"command": ("echo", "\udcff")}, {"environment": (("X", "\udcff"),)}, {"reason": "\udcff"}]
)
def test_words_that_are_not_utf8_are_refused(words: dict[str, Any]) -> None:
    """The daemon would replace the characters."""
    with pytest.raises(MisuseError) as refused:
        run_spec.refuse_bytes(replace(REQUEST, **words))

    assert r"'\udcff' is not UTF-8, and Docker requires that; pass it on standard input" == str(refused.value)


def test_run_has_no_settings_of_a_service() -> None:
    """It has no port, restart, healthcheck, or name to which the ingress would send requests."""
    body = run_spec.body(inspected(), REQUEST)

    assert {} == body["HostConfig"]["PortBindings"]
    assert "no" == body["HostConfig"]["RestartPolicy"]["Name"]
    assert {"Test": ["NONE"]} == body["Healthcheck"]
    assert {"p_front": {}, "p_back": {}} == run_spec.endpoints(inspected(), REQUEST)


def test_no_value_of_an_override_is_in_the_record() -> None:
    """All users can read labels, so they contain only names."""
    labels = run_spec.labels(inspected(), REQUEST)

    assert not [value for value in labels.values() if "hush" in value]
    assert '["TOKEN"]' == labels["twelfth.run.overrides"]


@pytest.mark.parametrize("own", [None, [], ["python3"]])
def test_time_limit_is_enforced_in_the_container(own: list[str] | None) -> None:
    """The first program is `timeout`, so the limit needs no client; it is no difference."""
    limited, worker = RunRequest("a", ("sleep", "9"), REPLICA, timeout=1.5), inspected()
    worker["Config"]["Entrypoint"] = own
    made = run_spec.body(worker, limited)

    assert ["timeout", "-k", "3", "1.5", *(own or [])] == made["Entrypoint"]
    assert ["sleep", "9"] == made["Cmd"]
    assert () == identity.unrequested(worker, run_spec.planned(worker, limited), limited)


def test_terminal_has_its_size_from_the_start() -> None:
    """It needs API 1.42; an older daemon reports 0 by 0, which is no difference."""
    request = replace(REQUEST, tty=True, terminal=Terminal(33, 77, "vt220"))
    made = run_spec.body(inspected(), request)
    run = {**inspected(), "Config": made, "HostConfig": made["HostConfig"] | {"ConsoleSize": [0, 0]}}

    assert [33, 77] == made["HostConfig"]["ConsoleSize"]
    assert "ConsoleSize" not in identity.differences(inspected(), run, request)
    assert "ConsoleSize" not in run_spec.body(inspected(), REQUEST)["HostConfig"]


@pytest.mark.parametrize(("limit", "shown"), [(1_000_000, "1000000"), (0.5, "0.5"), (3600, "3600")])
def test_time_limit_has_a_notation_of_every_timeout(limit: float, shown: str) -> None:
    """BusyBox does not support exponents."""
    request = replace(REQUEST, timeout=limit)
    made = run_spec.body(inspected(), request)

    assert shown in made["Entrypoint"]
    assert shown == made["Labels"]["twelfth.run.timeout"]


def named(hostname: str, **settings: Any) -> dict[str, Any]:
    """Return an inspected worker with a hostname, and with settings on its network `p_front`."""
    worker = inspected()
    networks = worker["NetworkSettings"]["Networks"] | {"p_front": settings}
    return worker | {
        "Config": worker["Config"] | {"Hostname": hostname, "Domainname": "example.org"},
        "NetworkSettings": worker["NetworkSettings"] | {"Networks": networks},
    }


def test_run_inherits_hostname_and_links() -> None:
    """They are those of its service."""
    worker = named("rabbit", Links=["p-db-1:database"])
    body = run_spec.body(worker, REQUEST)
    run = worker | {"Config": body, "HostConfig": body["HostConfig"]}

    assert ("rabbit", "example.org") == (body["Hostname"], body["Domainname"])
    assert {"p_front": {"Links": ["p-db-1:database"]}, "p_back": {}} == run_spec.endpoints(worker, REQUEST)
    assert () == identity.unrequested(worker, run, REQUEST)
    without = run | {
        "Config": body | {"Hostname": "c1", "Domainname": ""},
        "NetworkSettings": named("")["NetworkSettings"],
    }
    assert ("Domainname", "hostname", "links") == identity.unrequested(worker, without, REQUEST)


@pytest.mark.parametrize("hostname", ["worker", "p-worker-1"])
def test_run_never_has_the_name_by_which_clients_find_its_service(hostname: str) -> None:
    """The daemon makes a hostname a DNS name; the missing hostname is shown, but is no reason to refuse the run."""
    worker = named(hostname)
    body = run_spec.body(worker, REQUEST)
    run = worker | {"Config": body, "HostConfig": body["HostConfig"]}

    assert "" == body["Hostname"]
    assert ("environment.TOKEN", "hostname") == identity.differences(worker, run, REQUEST)
    assert () == identity.unrequested(worker, run, REQUEST)


@pytest.mark.parametrize(
    ("network", "uts", "expected"),
    [("host", "", "rabbit"), ("host", "host", ""), ("p_front", "host", ""), ("container:x", "", "")],
)
def test_hostname_of_another_container_is_not_requested(network: str, uts: str, expected: str) -> None:
    """The daemon reports that of the joined container or of the machine, and refuses it; on its network it may differ.

    So a service with `network_mode: host` may have declared it.
    """
    worker = named("rabbit")
    worker |= {"HostConfig": worker["HostConfig"] | {"NetworkMode": network, "UTSMode": uts}}
    body = run_spec.body(worker, REQUEST)
    run = worker | {"Config": body, "HostConfig": body["HostConfig"]}

    assert expected == body["Hostname"]
    assert expected == container_spec.clone(worker, 2, {}, {})["Hostname"]
    assert () == identity.unrequested(worker, run, REQUEST)


@pytest.mark.parametrize("hostname", ["c1", "{{.Task.ID}}"])
def test_hostname_that_the_daemon_chose_is_not_inherited(hostname: str) -> None:
    """Each container has another one."""
    assert "" == run_spec.body(named(hostname), REQUEST)["Hostname"]
