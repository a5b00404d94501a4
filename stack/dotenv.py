"""The text of `.env`, as Compose reads it (compose-go's package `dotenv`).

python-dotenv differs in what it expands, unescapes and takes for a comment, so it would answer with other values.
"""

from __future__ import annotations

import re
from collections import ChainMap
from typing import TYPE_CHECKING

from stack.errors import MisuseError
from stack.interpolate import TemplateError, expand, silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stack.interpolate import Warn

FILE = ".env"
_BLANK = "\t\v\f\r \x85\xa0"
_WHITE = _BLANK + "\n\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_START = re.compile(rf"(?:[{_WHITE}]|#[^\n]*)*")
_KEY = re.compile(rf"(?:export[{_BLANK}]+)?(?P<key>(?:\w|[{_BLANK}.\-\[\]])*)(?P<end>[=:\n]|\Z)[{_BLANK}]*")
_QUOTED = re.compile(r"""(?P<quote>['"])(?P<body>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)""", re.DOTALL)
_UNQUOTED = re.compile(r"(?P<body>[^\n]*)\n?")
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0[0-9]{0,3})')
_ESCAPES = {"\\a": "\a", "\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v"}
_ESCAPES |= {"\\$": "$$", '\\"': '"', "\\\\": "\\"}


def variables(dotenv: str, environment: Mapping[str, str], warn: Warn = silent) -> dict[str, str]:
    """Return what Compose interpolates from: the text of `.env` (empty if there is none), the environment winning.

    Tell `warn` of each unset variable that the text uses. Raise MisuseError with the line that is wrong.
    """
    text, found, at = dotenv.removeprefix("\ufeff"), dict[str, str](), 0
    while (at := _end(_START, text, at)) < len(text):
        key, inherited, value_at = _key(text, at)
        if inherited:
            at = value_at
            continue
        try:
            found[key], at = _value(text, value_at, ChainMap(dict(environment), found), warn)
        except TemplateError as error:
            raise _refusal(text, at, f"{key} {error}") from error
    return found | dict(environment)


def _key(text: str, at: int) -> tuple[str, bool, int]:
    """Return the key that starts there, whether it stands without a value, and where its value starts."""
    found = _KEY.match(text, at)
    if not found:
        raise _refusal(text, at, "has a character that no name may have; write NAME=value")
    key = found["key"].strip(_BLANK)
    if " " in key:
        raise _refusal(text, at, f"names {key!r}, which holds a space; write NAME=value")
    return key, found["end"] in ("\n", ""), found.end()


def _value(text: str, at: int, known: Mapping[str, str], warn: Warn) -> tuple[str, int]:
    """Return the value that starts there, and where it ends."""
    if text[at : at + 1] not in ('"', "'"):
        body = _UNQUOTED.match(text, at)
        raw = body["body"] if body else ""
        return expand(_stripped(raw.partition(" #")[0]), known, warn), at + len(raw)
    found = _QUOTED.match(text, at)
    if not found:
        raise _refusal(text, at, "has a quote that is never closed; close it")
    quote = found["quote"]
    body_text = re.sub(rf"\\{quote}", quote, found["body"])
    if quote == "'":
        return body_text, found.end()
    return expand(_ESCAPE.sub(_unescaped, body_text), known, warn), found.end()


def _unescaped(found: re.Match[str]) -> str:
    """Return what an escape in double quotes stands for; one that Go would not read keeps its backslash."""
    escape = found[0]
    if not escape.startswith("\\0"):
        return _ESCAPES.get(escape, escape)
    octal = escape.removeprefix("\\0")
    return chr(int(octal, 8)) if re.fullmatch("[0-3][0-7]{2}", octal) else "\\" + octal


def _stripped(text: str) -> str:
    return re.sub(rf"[{_WHITE}]+\Z", "", text)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _refusal(text: str, at: int, why: str) -> MisuseError:
    return MisuseError(f"{FILE}: line {text.count(chr(10), 0, at) + 1} {why}")
