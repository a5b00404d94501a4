"""Process 1 of a run is the same as in the service if an entrypoint may require it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.engines.docker_api.values import REQUEST, inspected
from twelfth.engines.docker_api import identity, run_spec

LIMIT = ["timeout", "-k", "3", "7"]


def worker(entrypoint: list[str] | None, init: bool | None) -> dict[str, Any]:  # noqa: FBT001
    """Return an inspected worker."""
    found = inspected()
    config, host = found["Config"] | {"Entrypoint": entrypoint}, found["HostConfig"] | {"Init": init}
    return found | {"Config": config, "HostConfig": host}


@pytest.mark.parametrize(
    ("entrypoint", "init", "expected", "limited", "limited_entrypoint"),
    [
        (None, None, True, True, LIMIT),
        ([], None, True, True, LIMIT),
        (None, False, False, False, LIMIT),
        (None, True, True, True, LIMIT),
        (["/enter"], True, True, True, [*LIMIT, "/enter"]),
        (["/enter"], None, None, True, [*LIMIT, "/enter"]),
        (["/enter", "now"], False, False, False, ["/enter", "now", *LIMIT]),
        (["/init"], None, None, None, ["/init", *LIMIT]),
        (["/init", "/with-env"], None, None, None, ["/init", *LIMIT, "/with-env"]),
        (["/sbin/tini", "-g", "--", "/enter"], None, None, None, ["/sbin/tini", "-g", "--", *LIMIT, "/enter"]),
        (["tini", "-s", "/enter"], False, False, False, ["tini", "-s", *LIMIT, "/enter"]),
        (["tini", "/enter", "--"], None, None, None, ["tini", *LIMIT, "/enter", "--"]),
        (["tini", "-e", "143", "/enter"], None, None, None, ["tini", "-e", "143", *LIMIT, "/enter"]),
        (["dumb-init", "--rewrite", "15:2"], None, None, None, ["dumb-init", "--rewrite", "15:2", *LIMIT]),
        (["dumb-init", "-v"], None, None, None, ["dumb-init", "-v", *LIMIT]),
    ],
)
def test_entrypoint_that_must_be_process_one_stays_process_one(
    entrypoint: list[str] | None,
    init: bool | None,  # noqa: FBT001
    expected: bool | None,  # noqa: FBT001
    limited: bool | None,  # noqa: FBT001
    limited_entrypoint: list[str],
) -> None:
    """With a time limit, this needs a declared `init: false` or a known init program."""
    source, request = worker(entrypoint, init), replace(REQUEST, timeout=7)
    plain, under_limit = run_spec.body(source, REQUEST), run_spec.body(source, request)

    assert (expected, entrypoint) == (plain["HostConfig"]["Init"], plain["Entrypoint"])
    assert (limited, limited_entrypoint) == (under_limit["HostConfig"]["Init"], under_limit["Entrypoint"])
    for made, asked in ((plain, REQUEST), (under_limit, request)):
        run = inspected(Config=made, HostConfig=made["HostConfig"])
        assert () == identity.unrequested(source, run, asked)
        other = run | {"HostConfig": run["HostConfig"] | {"Init": not made["HostConfig"]["Init"]}}
        assert ("Init",) == identity.unrequested(source, other, asked)
