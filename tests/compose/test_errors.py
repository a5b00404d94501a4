"""An error about an invalid file is one line: the files, Compose's message, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twelfth.compose.errors import explain
from twelfth.compose.file_names import NAMES

if TYPE_CHECKING:
    from tests.compose.conftest import Project

A = "services:\n  a:\n    image: x\n"
SECRET = "hunter2"  # noqa: S105  # which no error may show
BROKEN = [
    ("services: {a: {}}", 'service "a" has neither an image nor a build context specified'),
    ("services:\n  a:\n", "services.a must be a mapping"),
    (f"{A}    user: a: b\n", "mapping values are not allowed"),
    (f"{A}    privilged: true", "privilged"),
    (f"{A}foo: 1", "'foo' not allowed"),
    (f"{A}    environment:\n      A: [1]\n", "services.a.environment.A must be a boolean, null, number or string"),
    (f"{A}    ports: ['127.0.0.1:$PW:80']\n", "invalid hostPort: ${PW}"),
    (f"{A}    networks: [m]\n", 'service "a" refers to undefined network m'),
    (f"{A}    depends_on: [c]\n", 'service "a" depends on undefined service "c"'),
    (f"{A}    user: '${{A'\n", "invalid interpolation format for services.a.user"),
    (f"{A}    user: '${{A:?say who}}'\n", "services.a.user: required variable A is missing a value: say who"),
    (f"{A}    healthcheck: {{test: a, interval: $PW}}\n", "services[a].healthcheck.interval"),
    (f"{A}    deploy: {{replicas: $PW}}\n", "services.a.deploy.replicas: failed to cast"),
    (f"{A}    read_only: $PW\n", "invalid boolean: ${PW}"),
    (f"{A}    mem_limit: $PW\n", "services[a].mem_limit"),
    (f"{A}    volumes: ['$PW:$PW:$PW:x']\n", "${PW}:${PW}:${PW}:x"),
    (f"{A}    env_file: nope.env\n", "nope.env"),
    (f"include: [nope.yml]\n{A}", "nope.yml: no such file"),
]
DOTENV = [
    (f"A=1\nMY PW={SECRET}\n", "line 2: key cannot contain a space"),
    (f'A=1\nPW="{SECRET}\nB=1\n', "unterminated quoted value …"),
    (f"A=1\nP(W={SECRET}\n", 'line 2: unexpected character "(" in variable name …'),
    (f"A=1\nPW={SECRET}${{X\n", "Invalid template: …"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN, ids=[text for text, _ in BROKEN])
@pytest.mark.parametrize("is_exported", [True, False])
def test_broken_file_is_one_line(project: Project, text: str, expected: str, *, is_exported: bool) -> None:
    """It shows the file's name, Compose's words and the variable, not its value, wherever that is set."""
    if not is_exported:
        (project.directory / ".env").write_text(f"PW={SECRET}\n")
    error = project.refused(text, **({"PW": SECRET} if is_exported else {}))

    assert error.startswith("cannot read compose.yaml: ")
    assert expected in error
    assert error.endswith(f". Try: {project.programs[0]} config --quiet")
    assert ("\n" in error, SECRET in error) == (False, False)


@pytest.mark.parametrize(("text", "expected"), DOTENV, ids=[expected for _, expected in DOTENV])
def test_broken_dotenv_shows_no_value(project: Project, text: str, expected: str) -> None:
    """It shows the file and the line."""
    (project.directory / ".env").write_text(text)
    error = project.refused(A)

    assert ".env: " in error
    assert expected in error
    assert SECRET not in error


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"COMPOSE_PROJECT_NAME": "My App"}, 'invalid project name "My App"'),
        ({"COMPOSE_FILE": "nope.yml"}, "nope.yml: no such file"),
        ({"COMPOSE_ENV_FILES": "nope.env"}, "couldn't find env file: nope.env"),
    ],
)
def test_wrong_setting_of_compose_is_shown(project: Project, environment: dict[str, str], expected: str) -> None:
    """An error about a variable that configures Compose names what is wrong."""
    assert expected in project.refused(A, **environment)


def test_directory_without_a_file_is_refused(project: Project) -> None:
    """The error names the files that Compose looks for."""
    error = project.refused()

    hint = "Try: cd to the project's directory, or, for a new project: invoke init"
    assert f"found no {', '.join(NAMES)} here or above. {hint}" == error


def test_file_with_the_mistake_is_named(project: Project) -> None:
    """All files are named, as Compose does not always name the one."""
    project.write(b__yml=f"{A}    privileged: maybe")
    error = project.refused(A, COMPOSE_FILE="compose.yaml:b.yml")

    assert error.startswith("cannot read compose.yaml, b.yml: ")
    assert "services.a.privileged" in error


def test_unknown_key_is_called_that() -> None:
    """Compose 5 prints `false schema`; older releases name the key as an additional property."""
    assert "services.a.foo is not a key that Compose knows" == explain("services.a.foo false schema", {})
    assert "services.a additional properties 'foo' not allowed" == explain(
        "services.a additional properties 'foo' not allowed", {}
    )


@pytest.mark.parametrize("quoted", ['"{}"', "`{}`", "'{}'", '"{}', '"a\\"{}"'])
def test_quoted_value_is_left_out(quoted: str) -> None:
    """Also in a message of a later version of Compose."""
    error = explain(f"services.a.user: cannot\ntake {quoted.format(SECRET)}", {})

    assert error.startswith("services.a.user: cannot take …")
    assert ("\n" in error, SECRET in error) == (False, False)


def test_value_of_a_secret_is_in_no_error(project: Project) -> None:
    """Neither an error about an unsupported key nor one about a wrong key shows a value of the environment."""
    text = f"{A}    environment: {{PW: $PW, x-b: $PW}}\n    credential_spec: {{file: $PW}}\n    secrets: [s]\n"
    error = project.refused(f"{text}secrets: {{s: {{environment: PW}}}}\n", PW=SECRET)

    assert 2 == len(error.splitlines())
    assert SECRET not in error
