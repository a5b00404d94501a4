"""All notations of a Compose file are read by Compose, and its warnings and errors reach the operator."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.compose.conftest import HOME, OWN
from twelfth.compose import cli
from twelfth.compose.file_names import NAMES, OVERRIDES
from twelfth.engines.docker_api import config_files
from twelfth.errors import EngineError, MisuseError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compose.conftest import Project
    from twelfth.model.stack import Stack

PLAIN = "services: {a: {image: plain}}"


def environment(stack: Stack) -> dict[str, str]:
    """Return the environment of the first service."""
    return dict(stack.services[0].environment)


def names(stack: Stack) -> list[str]:
    """Return the names of the services."""
    return [service.name for service in stack.services]


def files(stack: Stack) -> list[str]:
    """Return the files that were read, relative to the parent of the stack's directory."""
    return [os.path.relpath(file, stack.directory.parent) for file in stack.files]


@pytest.mark.parametrize("name", NAMES)
def test_file_may_have_each_of_its_names(project: Project, name: str) -> None:
    """`compose.yaml` is the usual one; the stack has the name of the file."""
    (project.directory / name).write_text(PLAIN)
    found = project.read()

    assert [f"shop/{name}"] == files(found)
    assert (project.directory, "shop", ["a"]) == (found.directory, found.project, names(found))


@pytest.mark.parametrize("name", OVERRIDES)
def test_override_is_read_over_the_file(project: Project, name: str) -> None:
    """An override next to the file is read, too."""
    project.write(docker_compose__yml=PLAIN)
    (project.directory / "docker_compose.yml").rename(project.directory / "docker-compose.yml")
    (project.directory / name).write_text("services: {a: {user: me}}")
    found = project.read()

    assert ["shop/docker-compose.yml", f"shop/{name}"] == files(found)
    assert ("plain", "me") == (found.services[0].image, found.services[0].user)


def test_first_name_wins(project: Project) -> None:
    """Of two files Compose reads the first, and warns about the other."""
    project.write(compose__yml="services: {b: {image: b}}")
    found = project.read(PLAIN)

    assert (["a"], ["shop/compose.yaml"]) == (names(found), files(found))
    assert project.warned[0].startswith("Found multiple config files with supported names: ")


def test_file_is_found_from_a_directory_below(project: Project) -> None:
    """As with Compose, the stack is that of the first directory above that has a file, with its `.env`."""
    project.write(compose__yaml="services: {a: {image: $A}}", __env="A=x\n", below___there="")
    found = cli.read(project.directory / "below", HOME, among=project.programs)

    assert ((project.directory / "compose.yaml",), "x") == (found.files, found.model["services"]["a"]["image"])


def test_directory_may_have_any_name(project: Project) -> None:
    """Also with a percent sign, which Compose itself cannot handle."""
    odd = replace(project, directory=project.directory / "100% a; b")
    odd.write(__env="A=x")
    found = odd.read("services: {a: {image: $A, build: .}}").services[0]

    assert ("x", odd.directory) == (found.image, found.build and found.build.context)


def test_compose_file_of_the_environment_names_the_files(project: Project) -> None:
    """COMPOSE_FILE may name several, elsewhere too; the first one's directory is the stack's."""
    project.write(sub___one__yml=PLAIN, two__yml="services: {a: {user: me}}")
    found = project.read(COMPOSE_FILE="sub/one.yml:two.yml")

    assert (["shop/sub/one.yml", "shop/two.yml"], "me") == (
        [str(file.relative_to(project.directory.parent)) for file in found.files],
        found.services[0].user,
    )
    assert project.directory / "sub" == found.directory


def test_compose_file_of_dotenv_names_the_files(project: Project) -> None:
    """`.env` may set COMPOSE_FILE and its separator, which Compose itself is asked for."""
    project.write(__env="export COMPOSE_FILE='one.yml,two.yml' # both\nCOMPOSE_PATH_SEPARATOR=,\n")
    project.write(one__yml=PLAIN, two__yml="services: {a: {user: me}}")
    found = project.read()

    assert (["shop/one.yml", "shop/two.yml"], "me") == (files(found), found.services[0].user)


def test_dotenv_is_read_and_the_environment_wins(project: Project) -> None:
    """Quotes, comments and expressions of `.env` are Compose's."""
    project.write(__env="A=1 # one\nB=\"${A} two\"\nexport C='$A'\nD=dotenv\n")
    found = project.read("services: {a: {image: x, environment: [A, B, C, D, E]}}", D="given")

    assert {"A": "1", "B": "1 two", "C": "$A", "D": "given"} == environment(found)


def test_compose_env_files_stand_in_for_dotenv(project: Project) -> None:
    """COMPOSE_ENV_FILES names other files, the last one winning."""
    project.write(__env="A=dotenv\n", one__env="A=1\nB=1\n", two__env="B=2\n")
    found = project.read("services: {a: {image: x, environment: [A, B]}}", COMPOSE_ENV_FILES="one.env,two.env")

    assert {"A": "1", "B": "2"} == environment(found)


def test_env_file_is_part_of_the_environment(project: Project) -> None:
    """The variables of `env_file` are the service's, those of `environment` winning."""
    project.write(some__env="A=1\nB=1\n")
    found = project.read("services: {a: {image: x, env_file: some.env, environment: {B: '2'}}}")

    assert {"A": "1", "B": "2"} == environment(found)


def test_extends_is_followed(project: Project) -> None:
    """The other file's service applies unless the service has a value; `x-` keys too."""
    project.write(base__yaml="services: {b: {image: b, user: base, x-local: {command: [run]}}}")
    found = project.read("services: {a: {extends: {file: base.yaml, service: b}, user: own}}").services[0]

    assert ("b", "own", ("run",)) == (found.image, found.user, found.local and found.local.command)


def test_include_is_followed(project: Project) -> None:
    """Included services belong to the stack; like Compose's, the labels name only the including file."""
    project.write(more___compose__yaml="services: {b: {image: b}}")
    found = project.read(f"include: [more/compose.yaml]\n{PLAIN}")

    assert (["a", "b"], ["shop/compose.yaml"]) == (names(found), files(found))


@pytest.mark.parametrize(
    ("profiles", "expected"), [({}, ["a"]), ({"COMPOSE_PROFILES": "p"}, ["a", "b"])], ids=["none", "p"]
)
def test_profiles_choose_services(project: Project, profiles: dict[str, str], expected: list[str]) -> None:
    """A service with a profile is read if COMPOSE_PROFILES enables the profile."""
    text = "services: {a: {image: x}, b: {image: x, profiles: [p]}}"

    assert expected == names(project.read(text, **profiles))


def test_anchors_merges_and_extensions_are_followed(project: Project) -> None:
    """An own key wins over a merged one, an earlier merge over a later."""
    text = "x-first: &first {image: one, user: first}\nx-second: &second {user: second, init: true}\n"
    text += "services: {a: {<<: [*first, *second], image: mine}}\n"
    found = project.read(text).services[0]

    assert ("mine", "first", True) == (found.image, found.user, found.init)


@pytest.mark.parametrize(
    ("name", "variables", "expected"),
    [
        ("name: My File", {}, "myfile"),
        ("name: file-${B:-b}", {}, "file-b"),
        ("name: file", {"COMPOSE_PROJECT_NAME": "given"}, "given"),
        ("", {}, "shop"),
    ],
)
def test_project_is_named_as_compose_names_it(
    project: Project, name: str, variables: dict[str, str], expected: str
) -> None:
    """COMPOSE_PROJECT_NAME wins over the file's name, that over the directory's."""
    found = project.read(f"{name}\nservices: {{a: {{image: '$COMPOSE_PROJECT_NAME'}}}}", **variables)

    assert (expected, expected) == (found.project, found.services[0].image)


def test_secret_of_several_lines_comes_whole_from_dotenv(project: Project) -> None:
    """Such as a key: none of its lines is read as another variable, and a dollar sign stays."""
    key = "-----BEGIN\nX=y\n$a-----END"
    project.write(__env=f"KEY='{key}'\nX=own\n")
    file = "services: {a: {image: x, environment: [X], secrets: [k]}}\nsecrets: {k: {environment: KEY}}"
    service = project.read(file).services[0]

    assert ([key], (("X", "own"),)) == ([mount.content for mount in service.mounts], service.environment)


FROM_VARIABLES = """
services:
  a: {image: x, secrets: [key], configs: [{source: settings, target: /s}]}
  off: {image: x, profiles: [off], secrets: [unused]}
secrets: {key: {environment: KEY}, unused: {environment: UNUSED}}
configs: {settings: {environment: SETTINGS}}
"""


def test_secret_or_config_whose_variable_is_unset_is_refused(project: Project) -> None:
    """By both names, all at once, as Compose does when it creates the container; an unused one does not matter."""
    try_this = "set it in the environment or in .env"

    assert project.refused(FROM_VARIABLES).splitlines() == [
        f"compose.yaml: services.a.configs[0] is settings, whose variable SETTINGS is not set. Try: {try_this}",
        f"compose.yaml: services.a.secrets[0] is key, whose variable KEY is not set. Try: {try_this}",
    ]
    assert "KEY" not in project.refused(FROM_VARIABLES, KEY="x")
    assert "UNUSED" in project.refused(FROM_VARIABLES, KEY="", SETTINGS="", COMPOSE_PROFILES="off")


@pytest.mark.parametrize("value", ["", "=", "$A ${B}", "a\nb", "\udcff"])
def test_secret_or_config_has_the_value_of_its_variable(project: Project, value: str) -> None:
    """Also the empty one, and bytes that are not UTF-8."""
    [service] = project.read(FROM_VARIABLES, KEY=value, SETTINGS=value).services

    assert [value, value] == [mount.content for mount in service.mounts]
    assert [os.fsencode(value)] * 2 == [config_files.as_declared(mount).content for mount in service.mounts]


def test_secret_or_config_has_the_value_of_dotenv(project: Project) -> None:
    """An empty value is a value there, too; a name that no expression can contain is in no `.env`."""
    project.write(__env="KEY=\nSETTINGS=a b\n")
    [service] = project.read(FROM_VARIABLES).services

    assert {"/s": "a b", "/run/secrets/key": ""} == {mount.target: mount.content for mount in service.mounts}
    other = FROM_VARIABLES.replace("environment: SETTINGS", "environment: my.settings")
    assert "whose variable my.settings is not set" in project.refused(other)
    assert "KEY" not in project.refused(other)


@pytest.mark.parametrize("declared", ["{}", "", "{name: other}"])
def test_secret_or_config_without_a_source_is_refused(project: Project, declared: str) -> None:
    """By Compose or by twelfth: it is not an empty file."""
    for kind in ("secrets", "configs"):
        refusal = project.refused(f"services: {{a: {{image: x, {kind}: [c]}}}}\n{kind}: {{c: {declared}}}")
        assert "c" in refusal.split("compose.yaml")[-1]


def test_unset_variables_are_told_once(project: Project) -> None:
    """Each unset variable that is used causes one warning of Compose."""
    project.read("services: {a: {image: 'x$A$A${B}${C:-c}'}}", B="")

    assert ['The "A" variable is not set. Defaulting to a blank string.'] == project.warned


def test_values_of_the_environment_come_back_as_they_are(project: Project) -> None:
    """No character of a value is lost, doubled or expanded by Compose and YAML."""
    values = ["$", "$$", "a$b", "${A}", "$$$x", "'\"\\ \t\n#: é", "- x", "no", "01", "1e3", "caf\udce9"]
    given = {f"V{number}": value for number, value in enumerate(values)}
    text = f"services: {{a: {{image: x, environment: [{', '.join(given)}], x-release: [{'$' + ', $'.join(given)}]}}}}"
    found = project.read(text, **given)

    assert (given, tuple(values)) == (environment(found), found.services[0].pre_start[0].container.command)


@pytest.mark.parametrize("progress", ["json", "quiet", "tty"])
def test_settings_of_the_operator_for_compose_change_no_error(project: Project, progress: str) -> None:
    """An error contains no colours and no JSON, even if the environment asks Compose for them."""
    said = project.refused("services: {a: {image: x, foo: 1}}", COMPOSE_PROGRESS=progress, COMPOSE_ANSI="always")

    assert said.startswith("cannot read compose.yaml: validating compose.yaml: services.a")
    assert "\x1b" not in said


def test_no_daemon_is_called(project: Project) -> None:
    """The daemon of DOCKER_HOST gets no request."""
    with socket.create_server(("127.0.0.1", 0)) as daemon:
        project.read(PLAIN, DOCKER_HOST=f"tcp://127.0.0.1:{daemon.getsockname()[1]}")
        daemon.setblocking(False)  # noqa: FBT003  # its only parameter

        with pytest.raises(BlockingIOError):
            daemon.accept()


def compose(directory: Path, version: str, name: str = "docker-compose") -> str:
    """Return a program that claims to be a version of Compose, and prints a stack of that name."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(f'#!/bin/sh\n[ "$2" = config ] && echo "name: v{version}" || echo {version}\n')
    program.chmod(0o755)
    return str(program)


def test_operators_plugin_is_asked_before_his_path(tmp_path: Path) -> None:
    """In `~/.docker`, or where the configuration of `docker` says; then PATH, then the one of twelfth."""
    plugin = compose(tmp_path / ".docker/cli-plugins", "5.0.0")
    extra, on_path = compose(tmp_path / "extra", "5.0.0"), compose(tmp_path / "bin", "5.0.0")
    (tmp_path / ".docker/config.json").write_text(f'{{"cliPluginsExtraDirs": ["{tmp_path}/extra"]}}')
    found = list(cli.programs({"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin"}))

    assert [plugin, extra, on_path, OWN] == [program for program in found if not program.startswith("/usr/")]


@pytest.mark.parametrize("version", ["1.29.2", "2.26.1", "dev", "''"])
def test_old_compose_is_passed_over(tmp_path: Path, version: str) -> None:
    """A Compose that is too old, or reports no version, is skipped if there is another."""
    old, new = compose(tmp_path / "old", version), compose(tmp_path / "new", "2.27.0")

    assert {"name": "v2.27.0"} == cli.read(tmp_path, HOME, among=[old, new]).model


def test_program_that_cannot_be_started_is_passed_over(tmp_path: Path) -> None:
    """One for another machine is skipped."""
    broken, new = tmp_path / "broken", compose(tmp_path / "new", "2.27.0")
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)

    assert {"name": "v2.27.0"} == cli.read(tmp_path, HOME, among=[str(broken), new]).model


def test_own_compose_is_there(tmp_path: Path) -> None:
    """If the operator has none, the one that is installed with twelfth is used."""
    assert OWN in cli.programs({"PATH": str(tmp_path)})


def test_without_any_compose_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    """The error names the oldest supported version and what to type."""
    with pytest.raises(EngineError, match=r"docker compose 2.27 or later is missing. Try: pip install "):
        cli.read(tmp_path, HOME, among=[])


OLD = """#!/bin/sh
[ "$1" = version ] && exec echo 2.40.3
grep -q pre_start compose.yaml || exec {own} "$@"
echo "validating compose.yaml: services.a additional properties 'pre_start' not allowed" >&2
exit 15
"""
"""A Compose that does not know a key."""


def test_file_that_an_older_compose_rejects_is_read_by_the_one_of_twelfth(tmp_path: Path) -> None:
    """One line reports it. If both reject the file, the error is not that a key is too new."""
    old, warned = tmp_path / "docker-compose", list[str]()
    old.write_text(OLD.format(own=OWN))
    old.chmod(0o755)

    def image(keys: str) -> str:
        (tmp_path / "compose.yaml").write_text(f"services: {{a: {{image: x{keys}}}}}")
        return str(cli.read(tmp_path, HOME, warned.append, [str(old)]).model["services"]["a"]["image"])

    assert ("x", []) == (image(""), warned)
    assert "x" == image(", pre_start: [{command: a}]")
    why = "validating compose.yaml: services.a additional properties 'pre_start' not allowed"
    assert [f"{old} cannot read compose.yaml: {why}. Using the docker compose that is installed with twelfth"] == warned
    with pytest.raises(MisuseError, match=rf"services\.a\.foo is not a key that .*\. Try: {OWN} config --quiet$"):
        image(", pre_start: [{command: a}], foo: 1")
    with pytest.raises(MisuseError, match=rf"foo.*\. Try: {old} config --quiet$"):
        image(", foo: 1")
    assert 1 == len(warned)
