"""What Compose says of a file that is wrong -> one line: the file, the line, the key, and what to do.

They are Compose's own words where those are clear. They may hold values, and values may be secret: what is quoted in
them is not repeated, unless it is a name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yaml import Node

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""The files that Compose looks for where none is named."""

OVERRIDES = tuple(name.replace(".y", ".override.y") for name in ("compose.yml", "compose.yaml", *NAMES[2:]))
"""The files that Compose reads besides."""

_NOISE = (
    r"validating [^:]+:\s+|failed to (?:parse|read) [^:]+: (?!line)|decoding failed [^\n]*\n\n|"
    r"'(?=services\[)| in /[^:]+|error while interpolating |yaml: construct errors: (?:line \d+: )*|"
    r"go-yaml load error in \w+ at \S+: |: invalid compose project$"
)
_QUOTED = r"""(\b(?:service|key|name|on|and) )?(?<!\w)(?:"(?:\\.|[^"\\])*"?|`[^`]*`?|'[^']*'?)"""
_UNKNOWN = "is no key that Compose knows; correct its name or remove it"
_TEMPLATE = "has a $ that starts no valid expression; write $$ where you mean a dollar sign"
_WORDS = {
    "no configuration file provided.*": (
        f"there is none of {', '.join(NAMES)} here or above; go to the project's directory"
    ),
    "couldn't find env file: (.+)": "there is no {0}; create it, or correct COMPOSE_ENV_FILES",
    "(?:.*: )?(?:stat|open) (.+?): no such file or directory": "there is no {0}; create it, or correct its name",
    "project name must not be empty": "name is empty; give the project one that has a letter or a digit",
    "empty compose file": "services is missing; declare a service",
    ".*cannot (?:unmarshal|construct) !!.*": "the top level must be a mapping; start with services:",
    "additional properties '([^']+)'.*": f"{{0}} {_UNKNOWN}",
    r"(\S+) additional properties '([^']+)'.*": f"{{0}}.{{1}} {_UNKNOWN}",
    r"(\S+) false schema": f"{{0}} {_UNKNOWN}",
    r"(\S+) invalid jsonType time.Time": "{0} is a date; quote it",
    r"(\S+ value must be one of .+)": "{0}; correct it",
    "(.*required variable .* is missing a value.*)": "{0}; set it in the environment or in .env",
    r"(\S+): failed to cast.*(?:Atoi|ParseInt).*": "{0} must be a whole number; correct it",
    r"(\S+): failed to cast.*boolean.*": "{0} must be true or false; correct it",
    r"(\S+): failed to cast.*": "{0} must be a number; correct it",
    r"([^\s']+)' strconv.*": "{0} must be a number; correct it",
    r"([^\s']+)' time: .*": "{0} is no duration; write one such as 90s or 1m30s",
    r"([^\s']+)' invalid suffix.*": "{0} is no size; write one such as 128M",
    r"invalid interpolation format for (\S+?)\.?\s.*": f"{{0}} {_TEMPLATE}",
    "Invalid template: .*": _TEMPLATE,
    "(invalid project name .*)": "{0}; name another in COMPOSE_PROJECT_NAME",
    "(service .* depends on undefined service .*)": (
        "{0}, or in no profile that is enabled; declare it, or enable its profile in COMPOSE_PROFILES"
    ),
    "(invalid ranges specified for container and host) Ports: .*": "{0} ports; write as many outside as inside",
    "invalid (containerPort|hostPort|IP address|proto)[^:]*: .*": (
        '{port} is no port: its {0} is wrong; publish one such as "127.0.0.1:8000:8000"'
    ),
    "(healthcheck.test must start either by .*)": "{0}; correct it",
    r"failed to read .+?: line \d+: ([^\"]+?)(?: \".*)?": "{0}; write NAME=value",
}
"""What Compose 2.24 to 5.6 says, without `_NOISE`, that is unclear or shows a value: patterns, and what is said."""


def explain(said: str, texts: Mapping[str, str]) -> str:
    """Return what Compose said as one line; `texts` are the files that it may speak of, by their paths."""
    if named := [name for name in texts if name in said]:
        texts = {name: texts[name] for name in named}
    roots = {}
    for file, text in texts.items():
        roots[file], broken = _parsed(text)
        if broken and "yaml" in said.replace(".yaml", ""):  # Compose names neither the file nor always the line
            return f"{Path(file).name}: {broken}"
    why = _meaning(re.sub(_NOISE, "", said), roots)
    file, line = _place(why, said, texts, roots)
    if not line and why.startswith(("there is no", "invalid project name")):
        return why
    return (f"{Path(file).name}: " if file else "") + (f"line {line}: " if line else "") + why


def _meaning(said: str, roots: Mapping[str, Node | None]) -> str:
    """Return what is wrong and what to do, without a place."""
    for pattern, words in _WORDS.items():
        if found := re.fullmatch(pattern, said, re.DOTALL):
            why = words.format(*found.groups(), port=_port(said.rpartition(": ")[2], roots))
            return re.sub(r"^(\w+)\[([^\]\d][^\]]*)\]", r"\1.\2", " ".join(why.split()))
    masked = re.sub(_QUOTED, lambda quoted: quoted[0] if quoted[1] else "…", said)
    return (" ".join(masked.split()) or "Compose failed without a word") + "; correct it, or see: docker compose config"


def _port(value: str, roots: Mapping[str, Node | None]) -> str:
    """Return the key of the port that has a value, which Compose does not name; else of the first with a variable.

    With it come the names of its variables, from which the value may be.
    """
    ports = {
        f"services.{name}.ports[{index}]": str(port.value)
        for root in roots.values()
        for name, _, service in _below(_held(root, "services"))
        for index, _, port in _below(_held(service, "ports"))
    }
    meant = [(key, port) for mark in (value, "$") for key, port in ports.items() if mark in port]
    key, port = meant[0] if meant else ("ports", "")
    variables = ", ".join(re.findall(r"\$\{?(\w+)", port))
    return f"{key} (of {variables})" if variables else key


def _place(why: str, said: str, texts: Mapping[str, str], roots: Mapping[str, Node | None]) -> tuple[str, int]:
    """Return the file that is meant and the line, 0 where it is unknown: by key, by what is named, or as it says."""
    service = re.search(r'service "([^"]+)"', why)
    keys = ["services", service[1]] if service else re.findall(r"[^.\[\]:]+", why.partition(" ")[0])
    found = {file: _lines(keys, root) for file, root in roots.items()}
    best = max(found, key=lambda file: len(found[file]), default="")
    line = (found.get(best) or [0])[-1]
    named = re.findall(r'([^/\s]+): no such file|"([^"\s][^"\n]*)"?(?: not found)?$|undefined \w+ "?([^\s":]+)', said)
    words = "|".join(re.escape("".join(each)) for each in named)
    for file, text in ({best: texts[best]} if line else texts).items():
        for number, held in enumerate(text.splitlines(), 1):
            if words and number >= line and re.search(rf"(?<![\w.-])(?:{words})(?![\w.-])", held):
                return file, number
    places = re.findall(r"\bline ([0-9]+): |L([0-9]+)\.C", said)
    return best or next(iter(texts), ""), line or (int("".join(places[-1])) if places else 0)


def _lines(keys: list[str], node: Node | None) -> list[int]:
    """Return the lines of the keys, one below the other, as far as a file has them."""
    lines = list[int]()
    for key in keys:
        lines += [mark.start_mark.line + 1 for name, mark, _ in _below(node) if name == key]
        node = _held(node, key)
    return lines


def _parsed(text: str) -> tuple[Node | None, str]:
    """Return the nodes of a file, or where it is no YAML and why."""
    import yaml

    try:
        return yaml.compose(text, yaml.SafeLoader), ""
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return None, f"line {line}: a character that no YAML may hold; remove it"
    except yaml.MarkedYAMLError as error:
        mark, why = error.problem_mark, ", ".join(filter(None, (error.context, error.problem)))
        why = re.sub("(alias|anchor|handle|tag) '.*'", r"\1", why)
        return None, (f"line {mark.line + 1}, column {mark.column + 1}: " if mark else "") + f"{why}; correct it"


def _below(node: Node | None) -> list[tuple[str, Node, Node]]:
    """Return what a mapping or a list holds: the name or the index, the node where that stands, and the node held."""
    if node is None or isinstance(node.value, str):
        return []
    return [
        (str(held[0].value), *held) if isinstance(held, tuple) else (str(index), held, held)
        for index, held in enumerate(node.value)
    ]


def _held(node: Node | None, key: str) -> Node | None:
    return next((held for name, _, held in _below(node) if name == key), None)
