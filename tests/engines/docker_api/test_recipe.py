"""The recipe of a declared container, and that of an existing one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.engines.docker_api.values import IMAGE, STACK, WORKER, inspected
from twelfth.engines.docker_api import recipe
from twelfth.engines.docker_api.container_spec import LOGGING, declared_logging
from twelfth.model.service import Logging
from twelfth.model.snapshot import differences


def test_container_that_was_created_as_declared_has_no_difference() -> None:
    """Both recipes are equal, so a second `up` has nothing to do."""
    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d1"})

    assert () == differences(wanted, recipe.found_recipe(inspected()))


def test_settings_of_a_missing_image_are_no_difference() -> None:
    """Before the image is built, only the image itself and settings of the service can differ."""
    found = recipe.found_recipe(inspected())
    unbuilt = replace(WORKER, image="app:new")
    changed = replace(unbuilt, environment=(("HOST_REDIS", "else"),))

    assert ("image",) == differences(recipe.wanted_recipe(STACK, unbuilt, None, {"/etc/a": "d1"}), found)
    assert ("environment.HOST_REDIS", "image") == differences(
        recipe.wanted_recipe(STACK, changed, None, {"/etc/a": "d1"}), found
    )


def test_logging_is_compared_only_if_it_is_declared() -> None:
    """The daemon's default is no difference."""
    found = inspected()
    found["HostConfig"]["LogConfig"] = {"Type": "json-file", "Config": {"compress": "true", "max-size": "5m"}}
    declared = replace(WORKER, logging=Logging(options=(("max-size", "1m"),)))
    silent, bounded = (recipe.wanted_recipe(STACK, each, IMAGE, {"/etc/a": "d1"}) for each in (WORKER, declared))

    assert () == differences(silent, recipe.found_recipe(found))
    found["Config"]["Labels"][LOGGING] = declared_logging(WORKER)
    assert ("logging",) == differences(bounded, recipe.found_recipe(found))
    found["Config"]["Labels"][LOGGING] = declared_logging(declared)
    assert () == differences(bounded, recipe.found_recipe(found))


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
def test_difference_is_named(path: tuple[str, ...], value: object, name: str) -> None:
    """A change by another tool is the cause of the step."""
    found = inspected()
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d1"})
    assert (name,) == differences(wanted, recipe.found_recipe(found))


def test_reloaded_configuration_replaces_that_of_the_creation() -> None:
    """The labels of a container cannot change."""
    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d2"})

    assert ("config./etc/a",) == differences(wanted, recipe.found_recipe(inspected()))
    assert () == differences(wanted, recipe.found_recipe(inspected(), {"/etc/a": "d2"}))


def test_unknown_configuration_of_a_container_of_compose_is_no_difference() -> None:
    """Compose does not record the content of a configuration file."""
    found = inspected()
    found["Config"]["Labels"] = {
        name: value for name, value in found["Config"]["Labels"].items() if "twelfth" not in name
    }

    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d2"})
    assert () == differences(wanted, recipe.found_recipe(found))
