"""What the Engine API is asked for when the container of a run is created."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.engines.docker_api.values import REPLICA, REQUEST, inspected
from twelfth.engines.docker_api import container_spec, identity, run_spec
from twelfth.errors import MisuseError
from twelfth.model.run import RunRequest, Terminal


def test_run_is_made_of_the_workers_image_id_environment_and_networks() -> None:
    """By id, not by tag; with the override; on the same networks."""
    body = run_spec.body(inspected(), REQUEST)

    assert "sha256:1" == body["Image"]
    told = ["TWELFTH_OPERATOR=ann", "TWELFTH_RELEASE=0123456789ab", "TWELFTH_RUN=abcd1234"]
    assert ["PATH=/bin", "HOST_REDIS=redis", "TOKEN=hush", *told] == body["Env"]
    assert ["p_front", "p_back"] == list(run_spec.endpoints(inspected()))


def test_variable_that_compose_left_unset_stays_unset() -> None:
    """A name without `=` takes a variable of the image's away; with an empty value it would be there."""
    worker = inspected()
    worker["Config"]["Env"] = [*worker["Config"]["Env"], "REDIS_URL"]

    assert "REDIS_URL" in run_spec.body(worker, REQUEST)["Env"]


@pytest.mark.parametrize(
    "words", [{"command": ("echo", "\udcff")}, {"environment": (("X", "\udcff"),)}, {"reason": "\udcff"}]
)
def test_bytes_that_are_no_text_are_refused(words: dict[str, Any]) -> None:
    """The daemon would have the command see other ones."""
    with pytest.raises(MisuseError) as refused:
        run_spec.refuse_bytes(replace(REQUEST, **words))

    assert r"'\udcff' is not UTF-8, and Docker requires that; pass it on standard input" == str(refused.value)


def test_run_leaves_behind_what_makes_a_service() -> None:
    """No port, no restart, no healthcheck, and no name that the door would send visitors to."""
    body = run_spec.body(inspected(), REQUEST)

    assert {} == body["HostConfig"]["PortBindings"]
    assert "no" == body["HostConfig"]["RestartPolicy"]["Name"]
    assert {"Test": ["NONE"]} == body["Healthcheck"]
    assert {"p_front": {}, "p_back": {}} == run_spec.endpoints(inspected())


def test_no_value_of_an_override_is_in_the_record() -> None:
    """Labels are for everybody to read: they hold names only."""
    labels = run_spec.labels(inspected(), REQUEST)

    assert not [value for value in labels.values() if "hush" in value]
    assert '["TOKEN"]' == labels["twelfth.run.overrides"]


@pytest.mark.parametrize("own", [None, [], ["python3"]])
def test_time_limit_is_kept_inside_the_container_around_the_entrypoint(own: list[str] | None) -> None:
    """The first program is `timeout`, so the limit needs no client; it is no difference from the worker."""
    limited, worker = RunRequest("a", ("sleep", "9"), REPLICA, timeout=1.5), inspected()
    worker["Config"]["Entrypoint"] = own
    made = run_spec.body(worker, limited)

    assert ["timeout", "-k", "3", "1.5", *(own or [])] == made["Entrypoint"]
    assert ["sleep", "9"] == made["Cmd"]
    assert () == identity.unrequested(worker, run_spec.planned(worker, limited), limited)


def test_terminal_has_its_size_before_anything_runs() -> None:
    """From API 1.42 on; an older daemon reports 0 by 0, and that is no difference to the worker."""
    request = replace(REQUEST, tty=True, terminal=Terminal(33, 77, "vt220"))
    made = run_spec.body(inspected(), request)
    run = {**inspected(), "Config": made, "HostConfig": made["HostConfig"] | {"ConsoleSize": [0, 0]}}

    assert [33, 77] == made["HostConfig"]["ConsoleSize"]
    assert "ConsoleSize" not in identity.differences(inspected(), run, request)
    assert "ConsoleSize" not in run_spec.body(inspected(), REQUEST)["HostConfig"]


@pytest.mark.parametrize(("limit", "shown"), [(1_000_000, "1000000"), (0.5, "0.5"), (3600, "3600")])
def test_limit_is_written_as_every_timeout_reads_it(limit: float, shown: str) -> None:
    """BusyBox's takes no exponent."""
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
    """As its service has them."""
    worker = named("rabbit", Links=["p-db-1:database"])
    body = run_spec.body(worker, REQUEST)
    run = worker | {"Config": body, "HostConfig": body["HostConfig"]}

    assert ("rabbit", "example.org") == (body["Hostname"], body["Domainname"])
    assert {"p_front": {"Links": ["p-db-1:database"]}, "p_back": {}} == run_spec.endpoints(worker)
    assert () == identity.unrequested(worker, run, REQUEST)
    without = run | {
        "Config": body | {"Hostname": "c1", "Domainname": ""},
        "NetworkSettings": named("")["NetworkSettings"],
    }
    assert ("Domainname", "hostname", "links") == identity.unrequested(worker, without, REQUEST)


@pytest.mark.parametrize("hostname", ["worker", "p-worker-1"])
def test_run_never_has_the_name_by_which_clients_find_its_service(hostname: str) -> None:
    """The daemon makes a hostname a name on the network; that the run lacks it is shown, and no reason to refuse."""
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
def test_hostname_of_another_is_not_asked_for(network: str, uts: str, expected: str) -> None:
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
    """It is another one for each container."""
    assert "" == run_spec.body(named(hostname), REQUEST)["Hostname"]
