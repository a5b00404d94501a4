"""What a container is made from, said and read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.engines.docker_api.values import IMAGE, STACK, WORKER, inspected
from twelfth.engines.docker_api import recipe
from twelfth.engines.docker_api.container_spec import LOGGING, declared_logging
from twelfth.model.snapshot import differences
from twelfth.model.stack import Logging


def test_container_that_was_made_as_wanted_shows_no_difference() -> None:
    """The recipe said and the recipe read back are the same, so a second `up` has nothing to do."""
    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d1"})

    assert () == differences(wanted, recipe.found_recipe(inspected()))


def test_what_an_image_that_is_not_here_says_is_not_held_against_a_container() -> None:
    """Before it is built only that it is another is known, and what the service itself says otherwise."""
    found = recipe.found_recipe(inspected())
    unbuilt = replace(WORKER, image="app:new")
    changed = replace(unbuilt, environment=(("HOST_REDIS", "else"),))

    assert ("image",) == differences(recipe.wanted_recipe(STACK, unbuilt, None, {"/etc/a": "d1"}), found)
    assert ("environment.HOST_REDIS", "image") == differences(
        recipe.wanted_recipe(STACK, changed, None, {"/etc/a": "d1"}), found
    )


def test_log_is_the_daemons_business_until_it_is_declared() -> None:
    """What it keeps by itself is not held against a container; what is declared is."""
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
def test_difference_is_found_and_named(path: tuple[str, ...], value: object, name: str) -> None:
    """Whatever was changed behind our back is the cause of the step."""
    found = inspected()
    place: Any = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d1"})
    assert (name,) == differences(wanted, recipe.found_recipe(found))


def test_configuration_that_was_loaded_later_counts_for_the_one_it_was_made_with() -> None:
    """Its labels cannot change."""
    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d2"})

    assert ("config./etc/a",) == differences(wanted, recipe.found_recipe(inspected()))
    assert () == differences(wanted, recipe.found_recipe(inspected(), {"/etc/a": "d2"}))


def test_container_of_composes_is_not_held_to_what_it_cannot_tell() -> None:
    """Compose does not record what a configuration file held."""
    found = inspected()
    found["Config"]["Labels"] = {
        name: value for name, value in found["Config"]["Labels"].items() if "twelfth" not in name
    }

    wanted = recipe.wanted_recipe(STACK, WORKER, IMAGE, {"/etc/a": "d2"})
    assert () == differences(wanted, recipe.found_recipe(found))
