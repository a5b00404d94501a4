"""`docker-compose.yml` as text -> `Stack`: honour the keys that the model has, refuse every other by its full name.

YAML is read as Compose's go-yaml reads it: `yes` and `22:22` are text, `010` is eight, a key may stand only once.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import yaml

from stack.dotenv import variables
from stack.errors import MisuseError
from stack.interpolate import expand_all, silent
from stack.model import Network, Stack, Volume
from stack.node import FILE, Node, refusal
from stack.services import read_services

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from stack.interpolate import Warn
    from stack.model import Service

__all__ = ["read", "variables"]

_DECLARED = ("services", "networks", "volumes", "configs")
_TAG = "tag:yaml.org,2002:"
_CONSTANTS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_KINDS = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?")
_UNCLEAR = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]+:.*)?|[-+]?\.(inf|Inf|INF|nan|NaN|NAN)|\.[0-9]+_.*")
_SIGNED, _UNSIGNED = range(-(2**63), 2**63), range(2**64)


def read(text: str, variables: Mapping[str, str], directory: Path, warn: Warn = silent) -> Stack:
    """Return the stack that the file's text declares, its services in the order in which they start.

    `variables` is the merged environment (the function `variables` returns it), `directory` the file's, absolute.
    Tell `warn` of each variable that is used and not set, as Compose does. Raise MisuseError for anything wrong.
    """
    warned = _Once(warn)
    tree = _tree(text)
    project = _project(tree, variables, directory, warned)
    variables = {**variables, "COMPOSE_PROJECT_NAME": project}
    top = Node("", expand_all(tree, "", variables, warned)).fields("name", *_DECLARED)
    declared = {key: top[key].named() if key in top else {} for key in _DECLARED}
    internal = {name: _internal(node) for name, node in declared["networks"].items()}
    services = read_services(declared, variables, directory)
    return Stack(
        project,
        directory,
        services,
        tuple(Network(name, internal.get(name, False)) for name in _used_networks(services)),
        tuple(Volume(name) for name in _used_volumes(services)),
    )


def _project(tree: dict[str, object], variables: Mapping[str, str], directory: Path, warn: Warn) -> str:
    """Return the project's name: COMPOSE_PROJECT_NAME, else the file's, else the directory's."""
    if given := variables.get("COMPOSE_PROJECT_NAME"):
        if given != _normal(given):
            raise MisuseError(
                f"COMPOSE_PROJECT_NAME is {given!r}; use lowercase letters, digits, dashes and underscores only"
            )
        return given
    declared = Node("name", tree.get("name", "")).text()
    named = str(expand_all(declared, "name", variables, warn)) if declared else directory.name
    if name := _normal(named):
        return name
    raise refusal("name", f"is {named!r}; give the project a name that has a letter or a digit")


def _normal(name: str) -> str:
    return re.sub("[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def _internal(node: Node) -> bool:
    """Return whether a network is internal."""
    given = {} if node.value is None else node.fields("internal")
    return "internal" in given and given["internal"].flag()


def _used_networks(services: Iterable[Service]) -> list[str]:
    return sorted({name for service in services for name in service.networks})


def _used_volumes(services: Iterable[Service]) -> list[str]:
    return sorted({mount.source for service in services for mount in service.mounts if mount.kind == "volume"})


class _Once:
    """Tell each warning only once."""

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._told: set[str] = set()

    def __call__(self, warning: str) -> None:
        if warning not in self._told:
            self._told.add(warning)
            self._warn(warning)


class _GoYaml(yaml.SafeLoader):
    """PyYAML's parser with the scalars of go-yaml, which are mostly those of YAML 1.2."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """Return the tag of a value that names none itself; a plain scalar's follows from its text."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _TAG + ("merge" if value == "<<" else "unclear" if _UNCLEAR.fullmatch(value) else _kind(value))
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]  # types-PyYAML has no types here


def _tree(text: str) -> dict[str, object]:
    """Return the file's mapping as plain values; refuse broken YAML with its line and column."""
    try:
        node = _GoYaml(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        why = ", ".join(filter(None, (error.context, error.problem)))
        raise _broken(error.problem_mark, f"{why}; mend it") from error
    except yaml.reader.ReaderError as error:
        mark = yaml.Mark(FILE, error.position, *_place(text[: error.position]), None, 0)
        raise _broken(mark, "a character that no YAML may hold; remove it") from error
    tree = _value(node) if node else None
    if isinstance(tree, dict):
        return tree
    raise _broken(node.start_mark if node else None, "a mapping is needed; start with `services:`")


def _place(before: str) -> tuple[int, int]:
    """Return the line and the column, from 0, that follow a text."""
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def _broken(mark: yaml.Mark | None, why: str) -> MisuseError:
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the YAML is broken"
    return MisuseError(f"{FILE}: {place}: {why}")


def _value(node: yaml.Node, above: tuple[yaml.Node, ...] = ()) -> object:
    """Return what a node stands for, `above` being those that hold it."""
    if node in above:
        raise _broken(node.start_mark, "an alias stands inside of what it repeats; remove it")
    above = (*above, node)
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _mapping(node, above)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_value(item, above) for item in node.value]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, above: tuple[yaml.Node, ...]) -> dict[str, object]:
    """Return a mapping's own keys over those that it merges."""
    own: dict[str, object] = {}
    merged: dict[str, object] = {}
    seen: set[str] = set()
    for key, item in node.value:
        name = _key(key, seen)
        if key.tag == _TAG + "merge":
            for source in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                merged = _merged(source, above) | merged
        else:
            own[name] = _value(item, above)
    return merged | own


def _key(key: yaml.Node, seen: set[str]) -> str:
    """Return a key that is text and was not seen before."""
    if key.tag not in (_TAG + "str", _TAG + "merge"):
        raise _broken(key.start_mark, "a key has to be text; quote it")
    name = str(key.value)
    if name in seen:
        raise _broken(key.start_mark, f"the key {name} stands here a second time; remove one")
    seen.add(name)
    return name


def _merged(source: yaml.Node, above: tuple[yaml.Node, ...]) -> dict[str, object]:
    found = _value(source, above)
    if isinstance(found, dict):
        return found
    raise _broken(source.start_mark, "only mappings can be merged with <<; remove it")


def _scalar(node: yaml.Node) -> object:
    if node.tag == _TAG + "str":
        return node.value
    if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + _kind(node.value):
        return _plain(node.value)
    raise _broken(node.start_mark, "this is no text, whole number, float or boolean; quote it, without a tag")


def _kind(text: str) -> str:
    return _KINDS[type(_plain(text))]


def _plain(text: str) -> object:
    """Return what go-yaml makes of a plain scalar."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if not text.isascii() or text[0] not in "+-.0123456789":
        return text
    digits = text if text.startswith("._") else text.replace("_", "")
    whole = _whole(digits)
    if whole is not None or not _FLOAT.fullmatch(digits):
        return text if whole is None else whole
    return text if math.isinf(float(digits)) else float(digits)


def _whole(digits: str) -> int | None:
    """Return a whole number of 64 bits in any of Go's bases, `010` being eight."""
    try:
        found = int(re.sub("^([-+]?)0(?=[0-9])", r"\g<1>0o", digits), 0)
    except ValueError:
        return None
    if digits == "-0":  # the one whole number that only a float can hold
        return None
    return found if found in (_SIGNED if digits[0] in "+-" else _UNSIGNED) else None
