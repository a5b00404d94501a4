"""What the reader makes of docker-compose.yml as a whole: YAML, names, order, and how it refuses."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from stack import compose
from stack.errors import MisuseError
from stack.model import Network, Service, Stack, Volume

HERE = Path("/project")


def read(text: str, **variables: str) -> Stack:
    """Return the stack of a file in /project."""
    return compose.read(text, variables, HERE)


def refused(text: str, **variables: str) -> str:
    """Return how a file is refused."""
    with pytest.raises(MisuseError) as refusal:
        read(text, **variables)
    return str(refusal.value).removeprefix("docker-compose.yml: ")


def value(plain: str) -> str | None:
    """Return the environment's value that a YAML value stands for."""
    found = read(f"services:\n  a:\n    image: x\n    environment:\n      V: {plain}\n").services[0]
    return dict(found.environment).get("V")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the YAML is broken: a mapping is needed; start with `services:`"),
        ("services: {}", "services is missing or empty; declare a service"),
        ("services: {a: {}}", "services.a.image is missing; add it"),
        ("services: {a: {image: ''}}", "services.a.image is empty; give it a value or remove it"),
        ("services: {a: }", "services.a must be a mapping, not null; write it so"),
        (
            "services: {a b: {image: x}}",
            "services.a b is no valid name; use letters, digits, dots, dashes and underscores",
        ),
        (
            "services:\n  a: {image: x\n",
            "line 3, column 1: while parsing a flow mapping, expected ',' or '}', but got '<stream end>'; mend it",
        ),
        (
            "services:\n  a: {image: x}\n  a: {image: y}",
            "line 3, column 3: the key a stands here a second time; remove one",
        ),
        (
            "a: 1\n---\nb: 2",
            "line 2, column 1: expected a single document in the stream, but found another document; mend it",
        ),
        ("a: 'x\x01'", "line 1, column 6: a character that no YAML may hold; remove it"),
        ("1: a", "line 1, column 1: a key has to be text; quote it"),
        ("x-a: &a [*a]", "line 1, column 6: an alias stands inside of what it repeats; remove it"),
        ("x-a: {<<: 1}", "line 1, column 11: only mappings can be merged with <<; remove it"),
        ("x-a: !reset 1", "line 1, column 6: this is no text, whole number, float or boolean; quote it, without a tag"),
        (
            "x-a: 2001-01-01",
            "line 1, column 6: this is no text, whole number, float or boolean; quote it, without a tag",
        ),
        ("version: '3'", "version is not honoured by twelfth; remove it, Compose ignores it too"),
        ("secrets: {}", "secrets is not honoured by twelfth; remove it"),
        (
            "volumes: {v: {driver: x}}\nservices: {a: {image: x}}",
            "volumes.v.driver is not honoured by twelfth; remove it",
        ),
        (
            "networks: {n: {driver: x}}\nservices: {a: {image: x}}",
            "networks.n.driver is not honoured by twelfth; remove it",
        ),
        (
            "configs: {c: {content: x}}\nservices: {a: {image: x}}",
            "configs.c.content is not honoured by twelfth; remove it",
        ),
        ("configs: {c: {}}\nservices: {a: {image: x}}", "configs.c.file is missing; add it"),
        ("name: ${A}", "name is ''; give the project a name that has a letter or a digit"),
        ("name: ${A:?why}", "name requires the variable A: why; set it in the environment or in .env"),
    ],
)
def test_file_is_refused_in_one_line(text: str, expected: str) -> None:
    """A file that is broken as a whole, or lacks something, is refused with the place."""
    assert expected == refused(text)


def test_cycle_is_refused_by_the_names_in_it() -> None:
    """Services that wait for each other are named in the order in which they do."""
    waits = [("a", "b"), ("b", "c"), ("c", "a")]
    said = refused("services:\n" + "".join(f"  {name}: {{image: x, depends_on: [{of}]}}\n" for name, of in waits))
    names = said.removeprefix("services depend on each other: ").removesuffix("; remove one").split(" -> ")

    assert waits == sorted(pairwise(names))


def test_services_stand_in_the_order_in_which_they_start() -> None:
    """What one depends on comes first, else the file's order holds."""
    text = "services:\n  z: {image: x}\n  web: {image: x, depends_on: [app]}\n"
    text += "  app: {image: x, depends_on: [z]}\n  b: {image: x}\n"
    names = [service.name for service in read(text).services]
    expected = ["z", "b", "app", "web"]

    assert expected == names


def test_only_what_a_service_uses_is_part_of_the_stack() -> None:
    """Networks and volumes that no service uses are not created, as with Compose."""
    text = "services: {a: {image: x, networks: [n], volumes: ['data:/d']}}\n"
    text += "networks: {n: {internal: '${UNSET:-on}'}, m: }\nvolumes: {data: , other: }\n"
    found = read(text)

    assert ((Network("n", internal=True),), (Volume("data"),)) == (found.networks, found.volumes)


def test_network_default_needs_no_declaration_and_may_have_one() -> None:
    """A service that lists no network is on `default`, which the file may make internal."""
    plain = read("services: {a: {image: x}}")
    declared = read("services: {a: {image: x}}\nnetworks: {default: {internal: true}}")

    assert ((Network("default"),), (Network("default", internal=True),)) == (plain.networks, declared.networks)


def test_anchors_merges_and_extensions_are_followed() -> None:
    """An own key wins over a merged one, an earlier merge over a later, and `x-` keys only serve as anchors."""
    text = """
x-first: &first {image: one, user: first}
x-second: &second {user: second, init: true}
services:
  a:
    <<: [*first, *second]
    image: mine
    x-note: {any: [thing]}
"""
    found = read(text).service("a")

    assert Service("a", "mine", user="first", init=True, networks=("default",)) == found


@pytest.mark.parametrize(
    ("name", "variables", "expected"),
    [
        ("name: file", {}, "file"),
        ("name: My File", {}, "myfile"),
        ("name: _a-${B:-b}", {}, "a-b"),
        ("name: file", {"COMPOSE_PROJECT_NAME": "given"}, "given"),
        ("name: file", {"COMPOSE_PROJECT_NAME": ""}, "file"),
        ("name: ''", {}, "project"),
        ("", {}, "project"),
    ],
)
def test_project_is_named_as_compose_names_it(name: str, variables: dict[str, str], expected: str) -> None:
    """COMPOSE_PROJECT_NAME wins over the file's name, that over the directory's; the last two are made to fit."""
    found = read(f"{name}\nservices: {{a: {{image: '$COMPOSE_PROJECT_NAME'}}}}", **variables)

    assert (expected, expected) == (found.project, found.services[0].image)


def test_project_name_of_the_operator_has_to_fit() -> None:
    """COMPOSE_PROJECT_NAME is not bent into shape but refused."""
    expected = "COMPOSE_PROJECT_NAME is 'My App'; use lowercase letters, digits, dashes and underscores only"

    assert expected == refused("services: {a: {image: x}}", COMPOSE_PROJECT_NAME="My App")


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("True", "true"),
        ("~", None),
        ("null", None),
        ("'null'", "null"),
        ("=", "="),
        ("22:22", "22:22"),
        ("1:30:00", "1:30:00"),
        ("010", "8"),
        ("0o17", "15"),
        ("08", "8"),
        ("0x10", "16"),
        ("0XfF", "255"),
        ("0b11", "3"),
        ("0b12", "0b12"),
        ("1_000", "1000"),
        ("1__0", "10"),
        ("._5", "._5"),
        ("+1", "1"),
        ("-0", "-0"),
        ("-0.0", "-0"),
        ("1e3", "1000"),
        ("1e6", "1e+06"),
        ("123456.5", "123456.5"),
        ("1234567.0", "1.234567e+06"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        (".5", "0.5"),
        ("1.", "1"),
        ("1e400", "1e400"),
        ("2001-1-1x", "2001-1-1x"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("+18446744073709551615", "1.8446744073709552e+19"),
        ("0xFFFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFFFF"),
        ("!!str 010", "010"),
        ('"a\\nb"', "a\nb"),
    ],
)
def test_plain_scalar_is_what_it_is_to_compose(plain: str, expected: str | None) -> None:
    """Scalars follow go-yaml, and numbers are printed as Go prints them."""
    assert expected == value(plain)


def test_unset_variables_are_told_once() -> None:
    """Each variable that is used and not set is warned of in Compose's words, keys are left alone."""
    expected = ['The "A" variable is not set. Defaulting to a blank string.']
    told: list[str] = []
    compose.read("services: {a: {image: 'x$A$A${B}${C:-c}', environment: {$D: ''}}}", {"B": ""}, HERE, told.append)

    assert expected == told
