"""Shorten Compose's error about an invalid file to one line, without values that may be secret; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED = "service|job|network|volume|key|property|project name|on|and|anchor|file|properties"
"""The words after which Compose quotes a name, not a value."""

_QUOTED = rf"""(\b(?:{_NAMED}) )?(?<!\w)(?:"(?:\\.|[^"\\])*"?|`[^`]*`?|'(?!services\[)[^']*'?)"""
_SHORTEST_VALUE = 4
"""The length of the shortest value that is replaced by its variable: `1` may also be a line number."""


def explain(message: str, variables: Mapping[str, str]) -> str:
    """Return Compose's message as one line.

    Values of `variables`, which the files use, are replaced by the variable's name. Other values that Compose quotes
    are left out: they may be secret, such as the value in an invalid line of `.env`.
    """
    message = message.replace("false schema", "is not a key that Compose knows")  # Compose 5, of an unknown key
    for name, value in sorted(variables.items(), key=lambda variable: -len(variable[1])):
        if len(value) >= _SHORTEST_VALUE:
            message = message.replace(value, f"${{{name}}}")
    masked = re.sub(_QUOTED, lambda quoted: quoted[0] if quoted[1] or len(quoted[0]) == len("'x'") else "…", message)
    return " ".join(masked.split()) or "it printed no error"
