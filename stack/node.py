"""A value of the Compose file that knows where it stands, so that each refusal names its full key."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stack.errors import MisuseError
from stack.notations import number, shown, truth, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Read = TypeVar("Read")

FILE = "docker-compose.yml"
_ELSEWHERE = re.compile(r"~|(https?|git|ssh)://|github\.com/|git@")
_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_KINDS = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
_INSTEAD = {
    "container_name": "remove it, replicas are numbered",
    "entrypoint": "put the program first in command",
    "env_file": "name the variables under environment",
    "scale": "write deploy.replicas",
    "version": "remove it, Compose ignores it too",
}


def refusal(path: str, why: str) -> MisuseError:
    """Return the error that names the file and the full key."""
    return MisuseError(f"{FILE}: {path} {why}")


def step(path: str, key: str) -> str:
    """Return the path of a key below that path."""
    return f"{path}.{key}" if path else key


@dataclass(frozen=True)
class Scope:
    """What a service may refer to: the variables, the file's directory, and the names that its top level declares."""

    variables: Mapping[str, str]
    directory: Path
    services: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    configs: Mapping[str, str]


@dataclass(frozen=True)
class Node:
    """A value after interpolation and the full dotted path of its key."""

    path: str
    value: object

    def refusal(self, why: str) -> MisuseError:
        """Return the error that says what is wrong with this value."""
        return refusal(self.path, why)

    def mapping(self) -> dict[str, Node]:
        """Return the values of a mapping whose keys are the operator's own."""
        if not isinstance(self.value, dict):
            raise self._unlike("a mapping")
        return {key: Node(step(self.path, key), below) for key, below in self.value.items()}

    def named(self) -> dict[str, Node]:
        """Return the values of a mapping whose keys name services, networks, volumes or configs."""
        below = self.mapping()
        for name, node in below.items():
            if not _NAME.fullmatch(name):
                raise node.refusal("is no valid name; use letters, digits, dots, dashes and underscores")
        return below

    def fields(self, *known: str) -> dict[str, Node]:
        """Return the values of the known keys that are there; skip `x-` keys, refuse any other."""
        below = self.mapping()
        for key, node in below.items():
            if key not in known and not key.startswith("x-"):
                raise node.refusal(f"is not honoured by twelfth; {_INSTEAD.get(key, 'remove it')}")
        return {key: node for key, node in below.items() if key in known}

    def field(self, key: str) -> Node:
        """Return the value of a key that must be there."""
        below = self.mapping()
        if key not in below:
            raise refusal(step(self.path, key), "is missing; add it")
        return below[key]

    def items(self) -> list[Node]:
        """Return the values of a list."""
        if not isinstance(self.value, list):
            raise self._unlike("a list")
        return [Node(f"{self.path}[{index}]", below) for index, below in enumerate(self.value)]

    def text(self) -> str:
        """Return a text; a number or a boolean has to be quoted, as Compose has it."""
        if isinstance(self.value, str):
            return self.value
        raise self._unlike("text", *([] if isinstance(self.value, dict | list | None) else ["quote it"]))

    def filled(self) -> str:
        """Return a text that is not empty."""
        if text := self.text():
            return text
        raise self.refusal("is empty; give it a value or remove it")

    def texts(self) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(node.text() for node in self.items())

    def once(self) -> tuple[str, ...]:
        """Return a list of texts that are not empty, each of them only once."""
        texts = tuple(node.filled() for node in self.items())
        for node in self.items():
            if texts.count(node.text()) > 1:
                raise node.refusal(f"says {node.text()} a second time; remove one")
        return texts

    def scalar(self) -> str:
        """Return the text of a text, a number or a boolean, as Compose prints it."""
        if isinstance(self.value, dict | list | None):
            raise self._unlike("text, a number or a boolean")
        return shown(self.value)

    def flag(self) -> bool:
        """Return a boolean, also one that interpolation left as text."""
        return self.value if isinstance(self.value, bool) else self.parsed(truth)

    def whole(self, least: int = 0) -> int:
        """Return a whole number that is not below the least, also one that interpolation left as text."""
        found = self.value if type(self.value) is int else self.parsed(whole)
        if found < least:
            raise self.refusal(f"is {found}; the least is {least}")
        return found

    def number(self) -> float:
        """Return a number that is not negative, also one that interpolation left as text."""
        return self.parsed(number) if isinstance(self.value, str) else number(self.scalar())

    def parsed(self, notation: Callable[[str], Read]) -> Read:
        """Return what the notation makes of the text."""
        try:
            return notation(self.text())
        except ValueError as error:
            raise self.refusal(str(error)) from error

    def below(self, directory: Path) -> Path:
        """Return the absolute path that a text stands for, seen from that directory."""
        text = self.filled()
        if _ELSEWHERE.match(text):
            raise self.refusal(f"is {text}, which twelfth does not follow; write a path")
        return Path(posixpath.normpath(directory / text))

    def _unlike(self, wanted: str, advice: str = "write it so") -> MisuseError:
        return self.refusal(f"must be {wanted}, not {_KINDS.get(type(self.value), 'a number')}; {advice}")
