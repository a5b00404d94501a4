"""The `${…}` language of a Compose file and of its `.env`, as compose-go's package `template` has it.

`$A` `${A}` `${A-word}` `${A:-word}` `${A+word}` `${A:+word}` `${A?why}` `${A:?why}` and `$$`; a word may hold further
expressions. Like Compose 2.40, a word is expanded even where it is not used, so a mistake in it never hides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stack.node import refusal, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Warn = Callable[[str], None]

_NAME = "[_a-zA-Z][_a-zA-Z0-9]*"
_EXPRESSION = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<named>{_NAME})|\{{(?:(?P<braced>{_NAME})(?:(?P<operator>:?[-+?]).*)?\}}|(?P<broken>)))"
)


class TemplateError(ValueError):
    """An expression is not valid, or a variable that it requires is missing."""


def silent(_warning: str) -> None:
    """Drop a warning."""


def expand(text: str, variables: Mapping[str, str], warn: Warn = silent) -> str:
    """Return the text with each expression replaced; raise TemplateError where one is wrong."""
    return _EXPRESSION.sub(lambda found: _replace(found, variables, warn), text)


def expand_all(value: object, path: str, variables: Mapping[str, str], warn: Warn) -> object:
    """Return the tree with each of its texts expanded, keys left alone; refuse a wrong one by its key path."""
    if isinstance(value, dict):
        return {key: expand_all(below, step(path, key), variables, warn) for key, below in value.items()}
    if isinstance(value, list):
        return [expand_all(below, f"{path}[{index}]", variables, warn) for index, below in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        return expand(value, variables, warn)
    except TemplateError as error:
        raise refusal(path, str(error)) from error


def _replace(found: re.Match[str], variables: Mapping[str, str], warn: Warn) -> str:
    """Return what stands for one match, which reaches to the last brace of its line."""
    if found["escaped"]:
        return "$"
    if found["broken"] is not None:
        raise TemplateError("holds a ${ that starts no valid expression; write $$ where you mean a dollar sign")
    name, operator = found["named"] or found["braced"], found["operator"]
    if operator is None:
        return _plain(name, variables, warn)
    end = _closing_brace(found[0])
    word = expand(found[0][len("${" + name + operator) : end], variables, warn)
    return _choose(variables.get(name), name, operator, word) + expand(found[0][end + 1 :], variables, warn)


def _plain(name: str, variables: Mapping[str, str], warn: Warn) -> str:
    """Return a variable's value, with a warning the empty text where it is not set."""
    if name not in variables:
        warn(f'The "{name}" variable is not set. Defaulting to a blank string.')
    return variables.get(name, "")


def _choose(value: str | None, name: str, operator: str, word: str) -> str:
    """Return the value or the word, as the operator says; with a colon an empty value counts as unset."""
    there = value is not None and not (value == "" and operator.startswith(":"))
    if operator.endswith("+"):
        return word if there else ""
    if value is not None and there:
        return value
    if operator.endswith("-"):
        return word
    why = " ".join(word.split())
    raise TemplateError(f"requires the variable {name}{why and ': ' + why}; set it in the environment or in .env")


def _closing_brace(expression: str) -> int:
    """Return where the expression's own brace closes, counting as Compose does: what follows a `{` is not looked at."""
    depth = index = 0
    while index < len(expression):
        if expression[index] == "}":
            depth -= 1
            if not depth:
                return index
        elif expression[index] == "{":
            depth += 1
            index += 1
        index += 1
    return len(expression) - 1
