"""Whatever is wrong with a file is one line: the file, the line, the key, and what to do; never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twelfth.compose.errors import NAMES, explain

if TYPE_CHECKING:
    from tests.compose.conftest import Project

A = "services:\n  a:\n    image: x\n"
SECRET = "hunter2"  # noqa: S105  # which no error may show
CORRECT = "; correct it"
BROKEN = [
    ("\n", "compose.yaml: services is missing; declare a service"),
    ("- a", "compose.yaml: line 1: the top level must be a mapping; start with services:"),
    (
        "services: {a: {}}",
        'compose.yaml: line 1: service "a" has neither an image nor a build context specified; correct it',
    ),
    ("services:\n  a:\n", "compose.yaml: line 2: services.a must be a mapping; correct it"),
    (
        "services:\n  a: {image: x\n",
        "compose.yaml: line 3, column 1: while parsing a flow mapping, expected ',' or '}', but got '<stream end>'",
    ),
    (
        "services:\n  a: {image: x}\n  a: {}",
        'compose.yaml: line 3: mapping key "a" already defined at line 2; correct it',
    ),
    (f"{A}    user: a: b\n", "compose.yaml: line 4, column 12: mapping values are not allowed here; correct it"),
    (f"{A}    user: *you\n", "compose.yaml: line 4, column 11: found undefined alias; correct it"),
    ("a: 'x\x01'", "compose.yaml: line 1: a character that no YAML may hold; remove it"),
    ("1: a", "compose.yaml: non-string key at top level: 1; correct it"),
    ("x-a: {<<: 1}", "compose.yaml: line 1: map merge requires map or sequence of maps as the value; correct it"),
    ("x-a: &a [*a]", "compose.yaml: line 1: cycle detected: node at path x-a.0.0 references node at path x-a.0"),
    (
        f"{A}    privilged: true",
        "compose.yaml: line 4: services.a.privilged is no key that Compose knows; correct its name or remove it",
    ),
    (f"{A}foo: 1", "compose.yaml: line 4: foo is no key that Compose knows; correct its name or remove it"),
    (
        f"{A}    environment:\n      B: b\n      A: [1]\n",
        "compose.yaml: line 6: services.a.environment.A must be a boolean, null, number or string; correct it",
    ),
    (
        f"{A}    ports: ['80:80', '80:70000']\n",
        (
            "compose.yaml: line 4: services.a.ports[1] is no port: its containerPort is wrong; "
            'publish one such as "127.0.0.1:8000:8000"'
        ),
    ),
    (
        f"{A}    ports: ['127.0.0.1:${{PW}}:80']\n",
        (
            "compose.yaml: line 4: services.a.ports[0] (of PW) is no port: its hostPort is wrong; "
            'publish one such as "127.0.0.1:8000:8000"'
        ),
    ),
    (
        f"{A}    ports: ['${{HOST:-127.0.0.1}}:$PW:80']\n",
        "compose.yaml: line 4: services.a.ports[0] (of HOST, PW) is no port: its hostPort is wrong; publish one such",
    ),
    (
        f"{A}    networks: [m]\n",
        ('compose.yaml: line 4: service "a" refers to undefined network m; correct it'),
    ),
    (
        f"{A}    depends_on: [c]\n",
        (
            'compose.yaml: line 4: service "a" depends on undefined service "c", or in no profile that is enabled; '
            "declare it, or enable its profile in COMPOSE_PROFILES"
        ),
    ),
    (
        "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
        "dependency cycle detected: a -> b -> a; correct it",
    ),
    (
        f"{A}    user: '${{A'\n",
        (
            "compose.yaml: line 4: services.a.user has a $ that starts no valid expression; "
            "write $$ where you mean a dollar sign"
        ),
    ),
    (
        f"{A}    user: '${{A:?say who}}'\n",
        (
            "compose.yaml: line 4: services.a.user: required variable A is missing a value: say who; "
            "set it in the environment or in .env"
        ),
    ),
    (
        f"{A}    healthcheck: {{test: a, interval: $PW}}\n",
        "compose.yaml: line 4: services.a.healthcheck.interval is no duration; write one such as 90s or 1m30s",
    ),
    (
        f"{A}    deploy: {{replicas: $PW}}\n",
        "compose.yaml: line 4: services.a.deploy.replicas must be a whole number; correct it",
    ),
    (f"{A}    read_only: $PW\n", "compose.yaml: line 4: services.a.read_only must be true or false; correct it"),
    (
        f"{A}    container_name: '-'\n",
        "compose.yaml: line 4: services.a.container_name … does not match pattern …; correct it",
    ),
    (
        f"{A}    deploy: {{resources: {{limits: {{memory: 1x}}}}}}\n",
        "compose.yaml: line 4: services.a.deploy.resources.limits.memory is no size; write one such as 128M",
    ),
    (f"{A}    mem_limit: $PW\n", "compose.yaml: line 4: services.a.mem_limit must be a number; correct it"),
    (f"{A}    env_file: nope.env\n", "compose.yaml: line 4: there is no nope.env; create it, or correct its name"),
    (f"include: [nope.yml]\n{A}", "compose.yaml: line 1: there is no nope.yml; create it, or correct its name"),
    (
        f"{A}    extends: {{service: q}}\n",
        'compose.yaml: line 4: cannot extend service "a": service "q" not found; correct it',
    ),
    ("name: ${UNSET}\n" + A, "compose.yaml: line 1: name is empty; give the project one that has a letter or a digit"),
]
DOTENV = [
    (f"A=1\nMY PW={SECRET}\n", ".env: line 2: key cannot contain a space; write NAME=value"),
    (f'A=1\nPW="{SECRET}\nB=1\n', ".env: line 2: unterminated quoted value; write NAME=value"),
    (f"A=1\nP(W={SECRET}\n", ".env: line 2: unexpected character; write NAME=value"),
    (
        f"A=1\nPW={SECRET}${{X\n",
        ".env: line 2: has a $ that starts no valid expression; write $$ where you mean a dollar sign",
    ),
    ("A=1\nPW=${X:?no}\n", ".env: required variable X is missing a value: no; set it in the environment or in .env"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN, ids=[text for text, _ in BROKEN])
def test_broken_file_is_one_line_with_its_place(project: Project, text: str, expected: str) -> None:
    """YAML, schema, expressions and references: the file, the line and the key are named, and no value is."""
    said = project.refused(text, PW=SECRET)

    assert expected in said
    assert ("\n" in said, SECRET in said) == (False, False)


@pytest.mark.parametrize(("text", "expected"), DOTENV, ids=[expected for _, expected in DOTENV])
@pytest.mark.parametrize("name", [".env", "some.env"])
def test_broken_dotenv_shows_no_value(project: Project, name: str, text: str, expected: str) -> None:
    """The file and the line are told, and nothing of what stands there."""
    (project.directory / name).write_text(text)
    said = project.refused(f"{A}    env_file: some.env\n" if name == "some.env" else A)

    assert expected.replace(".env:", f"{name}:") == said


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"COMPOSE_PROJECT_NAME": "My App"},
            (
                'invalid project name "My App": must consist only of lowercase alphanumeric characters, hyphens, and '
                "underscores as well as start with a letter or number; name another in COMPOSE_PROJECT_NAME"
            ),
        ),
        ({"COMPOSE_FILE": "nope.yml"}, "there is no nope.yml; create it, or correct its name"),
        ({"COMPOSE_ENV_FILES": "nope.env"}, "there is no nope.env; create it, or correct COMPOSE_ENV_FILES"),
    ],
)
def test_wrong_setting_of_compose_is_told(project: Project, environment: dict[str, str], expected: str) -> None:
    """What is set wrongly for Compose itself is named."""
    assert expected == project.refused(A, **environment)


def test_directory_without_a_file_is_told(project: Project) -> None:
    """The error names the files that Compose looks for, and says where to go."""
    said = project.refused()

    assert f"there is none of {', '.join(NAMES)} here or above; go to the project's directory" == said
    assert "docker-compose.yml" in said


def test_mistake_is_found_in_the_file_that_has_it(project: Project) -> None:
    """Of several files the one with the key, or with the broken line, is named; an included one too."""
    project.write(b__yml=f"{A}    privileged: maybe", c__yml=f"{A}    user: a: b", d__yml=f"{A}    foo: 1")
    both = {"COMPOSE_FILE": "compose.yaml:b.yml"}

    assert "b.yml: line 4: services.a.privileged must be true or false; correct it" == project.refused(A, **both)
    assert project.refused(f"include: [c.yml]\n{A}").startswith("c.yml: line 4, column 12: ")
    assert project.refused(f"include: [d.yml]\n{A}").startswith("d.yml: line 4: services.a.foo is no key")


@pytest.mark.parametrize("quoted", ['"{}"', "`{}`", "'{}'", '"{}', '"a\\"{}"'])
def test_words_that_are_not_known_show_nothing_that_is_quoted(quoted: str) -> None:
    """What a Compose to come says is passed on as one line, without the values in it."""
    said = explain(f"services.a.user: cannot\ntake {quoted.format(SECRET)}", {"/p/compose.yaml": f"{A}    user: b\n"})

    assert said.startswith("compose.yaml: line 4: services.a.user: cannot take …")
    assert ("\n" in said, SECRET in said) == (False, False)


def test_value_of_a_secret_is_in_no_error(project: Project) -> None:
    """Neither what is not honoured nor what is wrong shows a value of the environment."""
    text = f"{A}    environment: {{PW: $PW, x-b: $PW}}\n    credential_spec: {{file: $PW}}\n    secrets: [s]\n"
    said = project.refused(f"{text}secrets: {{s: {{environment: PW}}}}\n", PW=SECRET)

    assert 2 == len(said.splitlines())
    assert SECRET not in said
