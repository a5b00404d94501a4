"""What Compose says of a file that is wrong -> one line: the file, the line, the key, and what to do.

What Compose says may hold values, and values may be secret: what it quotes is never repeated, unless it is a name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from yaml import Mark, Node

_UNKNOWN = "is no key that Compose knows; correct its name or remove it"
_UNSET = "requires the variable {name}: {why}; set it in the environment or in .env"
_TEMPLATE = "has a $ that starts no valid expression; write $$ where you mean a dollar sign"
_UNSET_SAID = r"required variable (?P<name>\S+) is missing a value:? ?(?P<why>.*)"
_CAST_SAID = r"error while interpolating (?P<path>\S+): failed to cast.*"
_EXPLAINED = {
    "no configuration file provided.*": "there is no compose.yaml here or above; go to the project's directory",
    "(?:.*: )?(?:stat|open) (?P<gone>.+?): no such file or directory": (
        "there is no {gone}; create it, or correct its name"
    ),
    "couldn't find env file: (?P<gone>.+)": "there is no {gone}; create it, or correct COMPOSE_ENV_FILES",
    'invalid project name "(?P<name>.*?)": .*': (
        "the project's name is {name!r}; use lowercase letters, digits, dashes and underscores: COMPOSE_PROJECT_NAME"
    ),
    "project name must not be empty": "name is empty; give the project one that has a letter or a digit",
    "empty compose file": "services is missing; declare a service",
    r"validating .+?:\s+additional properties '(?P<key>[^']+)'.*": f"{{key}} {_UNKNOWN}",
    r"validating .+?: (?P<path>\S+) additional properties '(?P<key>[^']+)'.*": f"{{path}}.{{key}} {_UNKNOWN}",
    r"validating .+?: (?P<path>\S+) false schema": f"{{path}} {_UNKNOWN}",
    r"validating .+?: (?P<path>\S+) invalid jsonType time.Time": "{path} is a date; quote it",
    r"validating .+?: (?P<path>\S+) (?P<why>value must be one of .+)": "{path} is wrong: {why}; correct it",
    r"validating .+?: (?P<path>\S+) '.*": "{path} has a value that it cannot have; correct it",
    r"validating .+?: (?P<path>\S+) (?P<why>[^']+).*": "{path} {why}; correct it",
    rf"error while interpolating (?P<path>\S+): {_UNSET_SAID}": f"{{path}} {_UNSET}",
    f"{_CAST_SAID}(?:Atoi|ParseInt).*": "{path} must be a whole number; correct it",
    f"{_CAST_SAID}boolean.*": "{path} must be true or false; correct it",
    _CAST_SAID: "{path} must be a number; correct it",
    r"invalid interpolation format for (?P<path>\S+?)\.?\s.*": f"{{path}} {_TEMPLATE}",
    r"decoding failed.*?'(?P<path>[^']+)' time: .*": "{path} is no duration; write one such as 90s or 1m30s",
    r"decoding failed.*?'(?P<path>[^']+)' invalid suffix.*": "{path} is no size; write one such as 128M",
    r"decoding failed.*?'(?P<path>[^']+)' .*parsing.*": "{path} must be a number; correct it",
    r"decoding failed.*?'(?P<path>[^']+)' (?P<why>[^'\"]+).*": "{path} is wrong: {why}; correct it",
    'service "(?P<service>[^"]+)" has neither an image nor a build.*': (
        "services.{service} has no image and no build; add one"
    ),
    'service "(?P<service>[^"]+)" refers to undefined (?P<kind>[a-z]+) (?P<name>[^":]+).*': (
        "services.{service}.{kind}s refers to the {kind} {name}, which is not declared; declare it under {kind}s"
    ),
    'service "(?P<service>[^"]+)" depends on undefined service "?(?P<name>[^":]+).*': (
        "services.{service}.depends_on refers to the service {name}, which is not declared, or in no profile that is "
        "enabled; declare it, or enable its profile in COMPOSE_PROFILES"
    ),
    'cannot extend service "(?P<service>[^"]+)" in .*?: service "(?P<name>[^"]+)" not found.*': (
        "services.{service}.extends names the service {name}, which is not there; correct it"
    ),
    r"(?P<path>\S+): can't set distinct values on '(?P<key>[^']+)' and '(?P<other>[^']+)'.*": (
        "{path}.{key} and {other} are not the same; remove one"
    ),
    "dependency cycle detected: (?P<names>.+)": "services depend on each other: {names}; remove one",
    r"non-string key in (?P<path>\S+): .*": "{path} has a key that is no text; quote it",
    "non-string key at top level: .*": "a key of the top level is no text; quote it",
    "invalid ranges specified for container and host Ports: .*": (
        "ports has two ranges of different length; write as many ports outside as inside"
    ),
    "invalid (?P<port>containerPort|hostPort|IP address|proto)[^:]*: .*": (
        '{path} is no port: its {port} is wrong; publish one such as "127.0.0.1:8000:8000"'
    ),
    "healthcheck.test must start either by .*": "a healthcheck.test must begin with CMD, CMD-SHELL or NONE; correct it",
    ".*cannot (?:unmarshal|construct) !!.*": "the top level must be a mapping; start with services:",
    ".*cycle detected: node at path .*": "an alias stands inside of what it repeats; remove it",
    ".*: map merge requires .*": "only mappings can be merged with <<; remove it",
    '.*mapping key "(?P<key>[^"]+)" already defined.*': "the key {key} stands here a second time; remove one",
    f"failed to read .+?: {_UNSET_SAID}": _UNSET,
    "failed to read .+?: Invalid template: .*": _TEMPLATE,
    r"failed to read .+?: line \d+: (?P<why>[^\"]+).*": "{why}; write NAME=value",
}
"""What Compose 2.24 to 5.6 says, as patterns, and what it means."""


def explain(said: str, texts: Mapping[str, str]) -> str:
    """Return what Compose said as one line; `texts` are the files that it may speak of, by their paths."""
    if named := [name for name in texts if name in said]:
        texts = {name: texts[name] for name in named}
    if "yaml" in said.replace(".yaml", "") and (broken := _broken_yaml(texts)):
        return broken
    why = _meaning(said, texts)
    file, line = _place(why.partition(" ")[0], said, texts)
    if not line and why.startswith(("there is no", "the project's name")):
        return why
    return (f"{Path(file).name}: " if file else "") + (f"line {line}: " if line else "") + why


def _meaning(said: str, texts: Mapping[str, str]) -> str:
    """Return what is wrong and what to do, without a place."""
    for pattern, words in _EXPLAINED.items():
        if found := re.fullmatch(pattern, said, re.DOTALL):
            parts = {name: " ".join(part.split()) for name, part in found.groupdict().items()}
            if "port" in parts:
                parts["path"] = _port(said.rpartition(": ")[2], texts)
            return re.sub(r"^(\w+)\[([^\]\d][^\]]*)\]", r"\1.\2", words.format(**parts).replace(": ;", ";"))
    masked = re.sub(
        r"""(?<!\w)(?:"(?:\\.|[^"\\])*"?|`[^`]*`?|'[^']*'?)""", "…", said.removesuffix(": invalid compose project")
    )
    return (" ".join(masked.split()) or "Compose failed without a word") + "; correct it, or see: docker compose config"


def _port(value: str, texts: Mapping[str, str]) -> str:
    """Return the key of the port that has a value, which Compose does not name; else of the first with a variable."""
    ports = {
        f"services.{name}.ports[{index}]": str(port.value)
        for text in texts.values()
        for name, _, service in _below(_held(_composed(text), "services"))
        for index, _, port in _below(_held(service, "ports"))
    }
    likely = [key for mark in (value, "$") for key, port in ports.items() if mark in port]
    return next(iter(likely), "ports")


def _broken_yaml(texts: Mapping[str, str]) -> str:
    """Return what is wrong with the first file that is no YAML: Compose names neither the file nor always the line."""
    import yaml

    for file, text in texts.items():
        try:
            yaml.compose(text, yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            why = re.sub(
                "(alias|anchor|handle|tag) '.*'", r"\1", ", ".join(filter(None, (error.context, error.problem)))
            )
            return f"{Path(file).name}: {_column(error.problem_mark)}: {why}; correct it"
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            return f"{Path(file).name}: line {line}: a character that no YAML may hold; remove it"
    return ""


def _column(mark: Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the YAML is broken"


def _place(path: str, said: str, texts: Mapping[str, str]) -> tuple[str, int]:
    """Return the file that is meant and the line, 0 where it is unknown: by key, by what is quoted, or as it says."""
    keys = re.findall(r"[^.\[\]:]+", path)
    found = {file: _lines_of_keys(keys, text) for file, text in texts.items()}
    best = max(found, key=lambda file: len(found[file]), default="")
    if best and found[best]:
        return best, found[best][-1]
    gone = [Path(name).name for name in re.findall("(?:stat|open) (.+?): no such file", said)]
    quoted = [*gone, *re.findall(r'"([^"\n]+)"?$', said)]
    told = re.findall(r"\bline ([0-9]+): |L([0-9]+)\.C", said)
    as_said = next(iter(texts), ""), int("".join(told[-1])) if told else 0
    return next(_lines_with(quoted, texts), as_said)


def _lines_with(quoted: list[str], texts: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Return the files and the lines that hold any of some texts."""
    for file, text in texts.items():
        yield from ((file, at) for at, line in enumerate(text.splitlines(), 1) if any(each in line for each in quoted))


def _lines_of_keys(keys: list[str], text: str) -> list[int]:
    """Return the lines of the keys, one below the other, as far as a file has them."""
    node, lines = _composed(text), list[int]()
    for key in keys:
        lines += [mark.start_mark.line + 1 for name, mark, _ in _below(node) if name == key]
        node = _held(node, key)
    return lines


def _composed(text: str) -> Node | None:
    """Return the nodes of a file, None where it is no YAML."""
    import yaml

    try:
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError:
        return None


def _below(node: Node | None) -> Iterator[tuple[str, Node, Node]]:
    """Return what a mapping or a list holds: the name or the index, the node where that stands, and the node held."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        yield from ((str(key.value), key, held) for key, held in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(index), held, held) for index, held in enumerate(node.value))


def _held(node: Node | None, key: str) -> Node | None:
    return next((held for name, _, held in _below(node) if name == key), None)
