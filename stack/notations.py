"""The small notations of a Compose file: text in, value out; ValueError says what is wrong and what to write."""

from __future__ import annotations

import re
from decimal import Decimal
from ipaddress import ip_address

from stack.model import Port

_TRUTH = dict.fromkeys(("true", "y", "yes", "on"), True) | dict.fromkeys(("false", "n", "no", "off"), False)
_DURATION_PART = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?P<unit>[^0-9.]+)")
_MINUTE, _HOUR, _DAY = 60 * 10**9, 3600 * 10**9, 24 * 3600 * 10**9
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_NANOSECONDS |= {"m": _MINUTE, "h": _HOUR, "d": _DAY, "w": 7 * _DAY}
_SIZE = re.compile(r"(?P<amount>[0-9]+\.?[0-9]*|\.[0-9]+) ?(?:b|(?P<unit>[kmgtp])(?:i?b)?)?", re.IGNORECASE)
_WORD_PART = re.compile(
    r"""
    (?P<space>[ \t\r\n]+) | \\(?P<escaped>.) | '(?P<single>[^']*)' | "(?P<double>(?:\\.|[^"\\])*)" |
    (?P<bare>[^\\'"`();&|<>])
    """,
    re.DOTALL | re.VERBOSE,
)
_PORT = re.compile(r"(?:(?P<host>\[[^]]*\]|[^]:[]*):)?(?P<published>[0-9]+):(?P<target>[0-9]+)(?:/tcp)?", re.IGNORECASE)
_LAST_PORT = 65535
_LONGEST = 2**63 - 1
_FIXED_POINT = range(-4, 6)


def shown(value: object) -> str:
    """Return the text of a scalar as Compose prints it: `true`, and floats as Go's shortest `%g`."""
    if isinstance(value, bool):
        return str(value).lower()
    return _shown_float(value) if isinstance(value, float) else str(value)


def _shown_float(value: float) -> str:
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) + int(exponent) - 1
    if power in _FIXED_POINT:
        return format(Decimal(repr(value)).normalize(), "f")
    fraction = "".join(map(str, digits[1:]))
    return f"{'-' * sign}{digits[0]}{fraction and '.' + fraction}e{power:+03d}"


def truth(text: str) -> bool:
    """Return the boolean that Compose makes of a text."""
    if text.lower() not in _TRUTH:
        raise ValueError(f"is {text!r}; write true or false")
    return _TRUTH[text.lower()]


def whole(text: str) -> int:
    """Return a whole number, decimal as everywhere in Compose."""
    if not re.fullmatch("[-+]?[0-9]+", text):
        raise ValueError(f"is {text!r}; write a whole number")
    return int(text)


def number(text: str) -> float:
    """Return a decimal number that is not negative."""
    if not re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?", text):
        raise ValueError(f"is {text!r}; write a number such as 0.5")
    return float(text)


def duration(text: str) -> float:
    """Return the seconds of a duration such as `1m30s` or `500ms`."""
    parts = list(_DURATION_PART.finditer(text))
    exact = "".join(part[0] for part in parts) == text and all(map(_known_part, parts))
    nanoseconds = sum(map(_nanoseconds, parts)) if exact else 0
    if text != "0" and not (parts and exact and nanoseconds <= _LONGEST):
        raise ValueError(f"is {text!r}; write a duration such as 90s or 1m30s")
    return nanoseconds / 10**9


def _known_part(part: re.Match[str]) -> bool:
    return part["unit"] in _NANOSECONDS and bool(part["whole"] or part["part"])


def _nanoseconds(part: re.Match[str]) -> int:
    return int(Decimal(f"{part['whole'] or 0}.{part['part'] or 0}") * _NANOSECONDS[part["unit"]])


def size(text: str) -> int:
    """Return the bytes of a size such as `128M` or `1.5gb`, where M is 1024 squared."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"is {text!r}; write a size such as 128M")
    power = "kmgtp".index(found["unit"].lower()) + 1 if found["unit"] else 0
    return int(float(found["amount"]) * 1024**power)


def words(text: str) -> tuple[str, ...]:
    """Return the arguments of a command line, split and unquoted as Compose does; shell syntax is refused."""
    found: list[str] = []
    inside, end = False, 0
    while part := _WORD_PART.match(text, end):
        end = part.end()
        if part["space"] is not None:
            inside = False
        else:
            found[len(found) - inside :] = [(found[-1] if inside else "") + _unquoted(part)]
            inside = True
    if end < len(text):
        raise ValueError(f"needs a shell from {text[end:]!r} on; write a list, or [sh, -c, ...]")
    return tuple(found)


def _unquoted(part: re.Match[str]) -> str:
    if part["double"] is not None:
        return re.sub(r"\\(.)", lambda found: _escaped(found[1]), part["double"], flags=re.DOTALL)
    return _escaped(part["escaped"] or "") or part["single"] or part["bare"] or ""


def _escaped(character: str) -> str:
    return {"t": "\t", "n": "\n"}.get(character, character)


def port(text: str) -> Port:
    """Return the one TCP port of `[host:]published:target[/tcp]`."""
    found = _PORT.fullmatch(text)
    if not found:
        raise ValueError(f'is {text!r}; publish one TCP port, such as "8000:8000" or "127.0.0.1:8000:8000"')
    target, published = _port_number(found["target"]), _port_number(found["published"])
    return Port(target, published, address(found["host"].strip("[]"))) if found["host"] else Port(target, published)


def _port_number(text: str) -> int:
    if not 0 < int(text) <= _LAST_PORT:
        raise ValueError(f"has the port {text}; use one from 1 to {_LAST_PORT}")
    return int(text)


def published(text: str) -> int:
    """Return a port number of the outside."""
    if not re.fullmatch("[0-9]+", text):
        raise ValueError(f"is {text!r}; publish one port, ranges are not honoured by twelfth")
    return _port_number(text)


def address(text: str) -> str:
    """Return an IP address without a zone, as it is written."""
    try:
        ip_address(text)
    except ValueError as error:
        raise ValueError(f"has the address {text!r}; write an IP address such as 127.0.0.1") from error
    return text
