"""Decide which files of a build context `.dockerignore` excludes, exactly as Docker's client does.

This follows https://github.com/moby/patternmatcher (v0.6), its surprises included: a pattern that was not tried on a
directory, because an earlier one had matched it, is not tried on the parents of a file either.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Matches = tuple[bool, ...]

BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 65_535
"""Bytes of a line that Docker's client reads; a longer one is an error."""

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go trims from both ends of a line; Python's own `strip` takes more."""

_WELL_FORMED = re.compile(r"(?:\[\^?(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+\]|\\.|[^\[\\])*", re.DOTALL)
"""What Go's `filepath.Match` accepts as a pattern."""

_CLASS = re.compile(r"\[:(\^?)(\w+):\]")
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}


def read_patterns(content: bytes, name: str) -> list[str]:
    """Return the patterns of a `.dockerignore`; `name` is what an error calls it.

    Raises `MisuseError` for a line that Docker's client does not read.
    """
    lines = content.removeprefix(BOM).split(b"\n")
    if any(len(line) > LONGEST_LINE for line in lines):
        raise MisuseError(
            f"cannot read {name}: it has a line of more than {LONGEST_LINE} bytes. Try: shorten it, then invoke up"
        )
    texts = (line.removesuffix(b"\r").decode("utf-8", "surrogateescape") for line in lines)
    return [_normal(text.strip(_SPACE)) for text in texts if not text.startswith("#") and text.strip(_SPACE)]


def _normal(text: str) -> str:
    """Return a pattern relative to the context."""
    mark = "!" if text.startswith("!") else ""
    path = text.removeprefix(mark).strip(_SPACE)
    path = _clean(path) if path else ""
    return mark + (path[1:] if len(path) > 1 and path.startswith("/") else path)


def _clean(path: str) -> str:
    """Return a path as Go's `filepath.Clean` does: `normpath` without its special case for two leading slashes."""
    return posixpath.normpath(f"/{path.lstrip('/')}" if path.startswith("/") else path)


@dataclass(frozen=True)
class Pattern:
    """One line; an exception (`!`) admits again what an earlier line excluded."""

    is_exception: bool
    path: str
    matches: Callable[[str], bool]


class Ignore:
    """The patterns of a `.dockerignore`."""

    def __init__(self, patterns: Iterable[str], name: str) -> None:
        """Take the lines as `read_patterns` returns them; raises `MisuseError` for one that is malformed."""
        self.patterns = [_pattern(text, name) for text in patterns]
        self._exceptions = [pattern.path for pattern in self.patterns if pattern.is_exception]

    def match(self, path: str, above: Matches) -> tuple[bool, Matches]:
        """Return whether a path is excluded, and which patterns matched it.

        `above` says which patterns matched its directory; it is empty at the top of the context.
        """
        is_ignored, matched = False, [False] * len(self.patterns)
        for number, pattern in enumerate(self.patterns):
            inherits = bool(above) and above[number]
            if not inherits and pattern.is_exception is not is_ignored:
                continue
            if inherits or pattern.matches(path):
                matched[number] = True
                is_ignored = not pattern.is_exception
        return is_ignored, tuple(matched)

    @property
    def has_exceptions(self) -> bool:
        """Return whether anything in an excluded directory can be admitted."""
        return bool(self._exceptions)

    def may_hold_exceptions(self, directory: str, *, as_buildkit: bool = False) -> bool:
        """Return whether an excluded directory is read nevertheless.

        Docker's client compares texts: `!docs/a*` is an exception in `docs`, `!**/a` is one in no directory. BuildKit
        reads all directories if there is such an exception
        (https://github.com/tonistiigi/fsutil/blob/master/filter.go).
        """
        paths = [_trimmed(path) for path in self._exceptions] if as_buildkit else self._exceptions
        if as_buildkit and any({*path} & {*"*[]?^"} for path in paths):
            return True
        return any(f"{path}/".startswith(f"{directory}/") for path in paths)


def _trimmed(path: str) -> str:
    return path.removesuffix("/**").removesuffix("/*")


def _pattern(text: str, name: str) -> Pattern:
    cleaned = _clean(text.strip(_SPACE))
    is_exception = cleaned.startswith("!")
    path = cleaned.removeprefix("!")
    if not path or not _WELL_FORMED.fullmatch(path):
        raise _malformed(text, name)
    try:
        return Pattern(is_exception, path, _matcher(path))
    except re.error as error:
        raise _malformed(text, name) from error


def _malformed(text: str, name: str) -> MisuseError:
    return MisuseError(f"cannot read {name}: {text[:50]!r} is not a valid pattern. Try: correct it, then invoke up")


def _matcher(path: str) -> Callable[[str], bool]:
    """Return what a pattern matches; one without wildcards, or with `**` at one end only, is compared as text."""
    expression, kind = _compiled(path)
    if kind == "exact":
        return lambda name: name == path
    if kind == "prefix":
        return lambda name: name.startswith(path[:-2])
    if kind == "suffix":
        end = path[2:]
        return lambda name: name.endswith(end) or (end.startswith("/") and name == end[1:])
    compiled = re.compile(expression, re.ASCII)
    return lambda name: compiled.search(name) is not None


def _compiled(path: str) -> tuple[str, str]:
    """Return a pattern as a regular expression, and how it is matched: `exact`, `prefix`, `suffix` or `expression`."""
    expression, kind, at, number = "^", "exact", 0, 0
    in_class = False
    while at < len(path):
        char, rest = path[at], path[at + 1 :]
        at += 1
        if char == "*" and rest.startswith("*"):
            at += 2 if rest[1:].startswith("/") else 1
            is_last = at == len(path)
            expression += ".*" if is_last else "(.*/)?"
            kind = "prefix" if is_last and kind == "exact" else "expression"
            if number == 0:
                kind = "suffix"
        elif char in "*?":  # in a class, Go's `[^/]*` ends the class, and so does this one
            expression += ("\\" if in_class else "") + ("[^/]*" if char == "*" else "[^/]")
            in_class, kind = False, "expression"
        elif char == "\\":
            expression += f"\\{rest[:1]}"
            at += 1
            kind = "expression"
        elif in_class and (named := _CLASS.match(path, at - 1)) and not named[1]:
            expression += _CLASSES[named[2]]
            at = named.end()
        elif char in "[]":
            expression += "\\[" if char == "[" and in_class else char
            in_class = char == "["
            kind = "expression"
        else:
            is_plain = char not in ".+()$&~" and (char != "|" or not in_class)
            expression += char if is_plain else f"\\{char}"  # Docker intends to escape `|{}` too, but does not
        number += 1
    return f"{expression}\\Z", kind
