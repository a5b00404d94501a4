"""Reading BuildKit's plain progress as steps and as an error, and the command line of a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from twelfth.engines.docker_api import buildkit
from twelfth.errors import EngineError
from twelfth.model.service import Build, BuildSecret

STEPS = """\
#0 building with "default" instance using docker driver

#4 [stage-0 1/3] FROM docker.io/library/python:3.13
#4 DONE 0.0s

#5 [stage-0 2/3] RUN echo hi; ls /nowhere
#5 0.448 hi
#5 0.461 ls: cannot access '/nowhere': No such file or directory
"""
FAILED = """\
#5 ERROR: executor failed running [/bin/sh -c echo hi; ls /nowhere]: exit code: 2
------
 > [stage-0 2/3] RUN echo hi; ls /nowhere:
0.448 hi
------
ERROR: failed to solve: executor failed running [/bin/sh -c echo hi; ls /nowhere]: exit code: 2
"""


def test_each_step_is_shown_once() -> None:
    """Their output is not shown unless a step fails."""
    again = "#5 [stage-0 2/3] RUN echo hi; ls /nowhere\n"
    found = [*buildkit.lines(f"{STEPS}{again}".splitlines(keepends=True), "cannot build a")]

    assert ["[stage-0 1/3] FROM docker.io/library/python:3.13", "[stage-0 2/3] RUN echo hi; ls /nowhere"] == found


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (STEPS + FAILED, "ls: cannot access '/nowhere': No such file or directory (step 2/3, exit code 2)"),
        (
            "ERROR: failed to solve: dockerfile parse error line 4: unknown flag",
            "dockerfile parse error line 4: unknown flag",
        ),
    ],
)
def test_error_has_the_last_line_of_the_failed_step(output: str, why: str) -> None:
    """If no step was running, it has BuildKit's message."""
    with pytest.raises(EngineError) as failed:
        list(buildkit.lines(output.splitlines(keepends=True), "cannot build a"))

    assert f"cannot build a: {why}; fix that, then: invoke up" == str(failed.value)


def test_settings_are_options_of_buildx() -> None:
    """Build arguments are passed as variables, because `ps` shows options to all users."""
    settings = {
        "buildargs": {"A": "b c"},
        "labels": {"l": "m"},
        "dockerfile": "docker/Dockerfile",
        "target": "",
        "extra_hosts": {"host": "1.2.3.4"},
        "nocache": True,
        "pull": False,
        "shmsize": 64,
    }

    assert [
        "--load",
        "--progress=plain",
        "--provenance=false",
        "--tag=app:1",
        "--file=docker/Dockerfile",
        "--shm-size=64",
        "--add-host=host:1.2.3.4",
        "--build-arg=A",
        "--label=l=m",
        "--no-cache",
    ] == buildkit.arguments("app:1", settings)
    assert {"A": "b c"} == buildkit.build_arguments(settings)


@pytest.mark.parametrize("name", ["PATH", "HOME", "DOCKER_HOST", "TMPDIR"])
def test_argument_that_the_docker_command_reads_itself_is_an_option(name: str) -> None:
    """As a variable it would change the command; it contains an address or a path, and no secret."""
    settings = {"buildargs": {name: "/elsewhere"}, "labels": {}}

    assert f"--build-arg={name}=/elsewhere" in buildkit.arguments("app:1", settings)
    assert {} == buildkit.build_arguments(settings)


def test_content_of_a_secret_is_not_on_the_command_line() -> None:
    """Other users can read it; a file is named, and other contents are passed as variables."""
    secrets = (BuildSecret("token", "/kept/token"), BuildSecret("npm", content="hidden"))

    assert [
        "--secret=id=token,src=/kept/token",
        "--secret=id=npm,env=TWELFTH_BUILD_SECRET_1",
    ] == buildkit.secret_options(secrets)
    assert {"TWELFTH_BUILD_SECRET_1": "hidden"} == buildkit.secret_variables(secrets)


def test_additional_contexts_are_options() -> None:
    """A directory is replaced by its copy, next to the context; the copy's name has no slash."""
    contexts = (("base", "service:base"), ("i", "docker-image://i"), ("x/y", "/project/lib"))
    build = Build(Path(), additional_contexts=contexts).with_images({"base": "base:0123456789ab"})

    assert [
        "--build-context=base=docker-image://base:0123456789ab",
        "--build-context=i=docker-image://i",
        "--build-context=x/y=/copies/context-x%2Fy",
    ] == buildkit.context_options(build.additional_contexts, Path("/copies"))
