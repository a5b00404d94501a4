"""Which paths of a build context a Dockerfile copies to which paths of the image, as far as its text shows that; pure.

A directory that is mounted over its own copy hides the release: its replicas run what the directory has when they
start.
"""

from __future__ import annotations

import functools
import json
import posixpath
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<plain>\w+))")
_CONTINUED = re.compile(r"\\[ \t]*\n(?:[ \t]*#.*\n)*")


def is_copied(dockerfile: str, source: str, target: str, arguments: Mapping[str, str]) -> bool:
    """Return whether a path of the context, or a part of it, is copied to where it is mounted at `target`."""
    mounted, directory = posixpath.normpath(target), posixpath.normpath(source)
    for copied, place in _copies(dockerfile, arguments):
        if _is_below(directory, copied) and _path_below(place, directory, copied) == mounted:
            return True
        if copied != directory and _is_below(copied, directory):
            path = _path_below(mounted, copied, directory)
            if path in {place, posixpath.join(place, posixpath.basename(copied))}:
                return True
    return False


def _is_below(path: str, directory: str) -> bool:
    return directory in {".", path} or path.startswith(f"{directory}/")


def _path_below(place: str, path: str, directory: str) -> str:
    """Return the place of a path whose directory is copied to `place`."""
    return posixpath.normpath(posixpath.join(place, posixpath.relpath(path, directory)))


def _copies(dockerfile: str, arguments: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what `COPY` and `ADD` take from the context, and its absolute path in the image."""
    values, stages, stage, directory = dict[str, str](), dict[str, str](), list[str](), ""
    for instruction, text in _instructions(dockerfile):
        rest = _VARIABLE.sub(functools.partial(_value, values), text)
        match instruction:
            case "ARG":
                name, _, default = rest.partition("=")
                values[name] = arguments.get(name, default.strip("\"'"))
            case "ENV":
                values |= dict(re.findall(r"(\w+)[= ][\"']?([^\s\"']*)", rest))
            case "FROM":
                base = [word for word in rest.split() if not word.startswith("--")]  # [] if its variable is not known
                directory = stages.get("".join(base[:1]), "")  # that of another image is unknown
                stage = base[2:]
                stages |= dict.fromkeys(stage, directory)
            case "WORKDIR":
                directory = _joined(directory, rest.strip("\"'"))
                stages |= dict.fromkeys(stage, directory)
            case "COPY" | "ADD":
                yield from _pairs(rest, directory)


def _value(values: Mapping[str, str], match: re.Match[str]) -> str:
    return values.get(match["braced"] or match["plain"], match["default"] or "")


def _joined(directory: str, path: str) -> str:
    """Return a path of the image, "" if it is relative to an unknown directory."""
    return posixpath.normpath(posixpath.join(directory, path)) if directory or path.startswith("/") else ""


def _pairs(text: str, directory: str) -> Iterator[tuple[str, str]]:
    try:
        words = [str(word) for word in (json.loads(text) if text.startswith("[") else shlex.split(text))]
    except ValueError:
        return
    paths = [word for word in words if not word.startswith("--")]
    is_of_context = not any(word.startswith("--from") for word in words)
    place = _joined(directory, paths[-1]) if is_of_context and len(paths) > 1 else ""
    for path in paths[:-1] if place else ():
        yield posixpath.normpath(path.removesuffix("/*").lstrip("/") or "."), place


def _instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    for line in _CONTINUED.sub(" ", dockerfile.replace("\r\n", "\n")).split("\n"):
        word, *rest = line.split(None, 1)[:2] or [""]
        yield word.upper(), "".join(rest).strip()
