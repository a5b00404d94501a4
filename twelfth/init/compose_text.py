"""Insert keys into the text of a Compose file; every other byte stays.

A file that a YAML library writes back has other quotes, widths or blank lines. Here the library only reports
where a value ends, and the result is parsed again: it must be the previous document and the inserted keys.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INDENTATION = 2
"""Spaces of a level in snippets; an insertion has those of the file."""


class UnchangeableError(Exception):
    """A key cannot be inserted here; the text says why."""


def insert(text: str, path: Sequence[str], snippet: str) -> str:
    """Insert a snippet, keys in block style, as the last keys of the mapping at a path.

    Into a mapping in brackets it is written in brackets, too.
    """
    root = _root(text)
    mapping, step = _at(root, path)
    if path and mapping.flow_style:
        return _insert_in_brackets(text, root, path, mapping, snippet)
    if not _is_block(mapping, "mapping"):
        raise UnchangeableError(f"{'.'.join(path) or 'the file'} is not written as a block of keys")
    lines, newline = _lines(text)
    column = mapping.value[0][0].start_mark.column
    last = _last_line(mapping.value[-1], lines) + 1
    inserted = _indented(snippet, column, step)
    if not path and "" in [line.strip() for line in lines[:last]]:
        inserted = ["", *inserted]
    expected = _tree(root)
    _subtree(expected, path).extend(_tree(_root(snippet)))
    return _checked(newline.join([*lines[:last], *inserted, *lines[last:]]), expected)


def _insert_in_brackets(text: str, root: Any, path: Sequence[str], mapping: Any, snippet: str) -> str:
    import yaml

    keys = ", ".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in yaml.safe_load(snippet).items()
    )
    end = mapping.end_mark.index - 1
    before = text[:end].rstrip(" ")
    separator = ", " if mapping.value else ""
    expected = _tree(root)
    _subtree(expected, path).extend(_tree(_root(snippet)))
    return _checked(f"{before}{separator}{keys}{text[end:]}", expected)


def wait_for(text: str, service: str, conditions: Mapping[str, str]) -> str:
    """Write the list `depends_on` of a service as a mapping with a condition for each dependency."""
    root = _root(text)
    keys, step = _at(root, ("services", service))
    key, value = _entry(keys, "depends_on")
    if key is None or value.id != "sequence" or value.start_mark.index < key.start_mark.index:
        raise UnchangeableError("depends_on is not a list in this file")
    lines, newline = _lines(text)
    first, end = key.start_mark.line, _last_line((key, value), lines)
    column = key.start_mark.column + step
    if value.flow_style:
        before, after = lines[first][: value.start_mark.column], lines[end][value.end_mark.column :]
        if first != end or value.end_mark.line != end:
            raise UnchangeableError("depends_on is a list of several lines in brackets")
        head = [before.rstrip() + after.rstrip()]
        items = [(item.value, "") for item in value.value]
        body = _conditions(items, conditions, column, step)
    else:
        head = lines[first : first + 1]
        body = _from_block(lines[first + 1 : end + 1], conditions, column, step)
    expected = _tree(root)
    replaced: list[Any] = [[name, [["condition", condition]]] for name, condition in conditions.items()]
    _replace(expected, ("services", service), "depends_on", replaced)
    return _checked(newline.join([*lines[:first], *head, *body, *lines[end + 1 :]]), expected)


def _from_block(lines: Sequence[str], conditions: Mapping[str, str], column: int, step: int) -> list[str]:
    body = []
    for line in lines:
        match = re.fullmatch(r"\s*-\s+([\"']?)([\w.-]+)\1(\s+#.*|\s*)", line)
        if match:
            body += _conditions([(match[2], match[3].rstrip())], conditions, column, step)
        elif not line.strip() or line.lstrip().startswith("#"):
            body.append(line)
        else:
            raise UnchangeableError("depends_on has entries that are not names")
    return body


def _conditions(items: Sequence[tuple[str, str]], conditions: Mapping[str, str], column: int, step: int) -> list[str]:
    indentation, deeper = " " * column, " " * (column + step)
    return [
        line
        for name, comment in items
        for line in (f"{indentation}{name}:{comment}", f"{deeper}condition: {conditions[name]}")
    ]


def _root(text: str) -> Any:
    import yaml

    if re.search("\r(?!\n)|[\x85\u2028\u2029]", text):
        raise UnchangeableError("the file has unusual line breaks")
    try:
        root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UnchangeableError("the file cannot be read as YAML 1.1") from error
    if root is None or root.id != "mapping":
        raise UnchangeableError("the file is empty")
    return root


def _entry(mapping: Any, name: str) -> tuple[Any, Any]:
    return next(((key, value) for key, value in mapping.value if key.value == name), (None, None))


def _at(root: Any, path: Sequence[str]) -> tuple[Any, int]:
    """Return the node at a path, and the indentation of its level."""
    node, step = root, INDENTATION
    if not path:  # the file's own width, which the services show
        return root, next(
            (_at(root, (key.value,))[1] for key, value in root.value if _is_block(value, "mapping")), step
        )
    for name in path:
        key, value = _entry(node, name)
        if key is None or value.id != "mapping" or value.start_mark.index < key.start_mark.index:
            raise UnchangeableError(f"{'.'.join(path)} is not written in this file")
        step = value.value[0][0].start_mark.column - key.start_mark.column if _is_block(value, "mapping") else step
        node = value
    return node, max(step, 1)


def _is_block(node: Any, kind: str) -> bool:
    return bool(node.id == kind and not node.flow_style and node.value)


def _last_line(entry: tuple[Any, Any], lines: Sequence[str]) -> int:
    """Return the number of the last line of a value, without the comments and blank lines below it."""
    key, value = entry
    if value.start_mark.index < key.start_mark.index:  # an alias: its node is where its anchor is
        return int(key.end_mark.line)
    if _is_block(value, "mapping"):
        return _last_line(value.value[-1], lines)
    if _is_block(value, "sequence"):
        return _last_line((value, value.value[-1]), lines)
    if value.id == "scalar" and value.style in {"|", ">"}:
        last = value.end_mark.line - (value.end_mark.column == 0)
        while not lines[last].strip():
            last -= 1
        return int(last)
    return int(value.end_mark.line)


def _lines(text: str) -> tuple[list[str], str]:
    newline = "\r\n" if "\r\n" in text else "\n"
    if newline == "\r\n" and re.search("(?<!\r)\n", text):
        raise UnchangeableError("the file has line breaks of two kinds")
    lines = text.split(newline)
    return (lines if lines[-1] == "" else [*lines, ""]), newline


def _indented(snippet: str, column: int, step: int) -> list[str]:
    lines = []
    for line in snippet.splitlines():
        bare = line.lstrip(" ")
        levels, rest = divmod(len(line) - len(bare), INDENTATION)
        lines.append(" " * (column + levels * step + rest) + bare if bare else "")
    return lines


def _tree(node: Any) -> Any:
    """Return a node as lists and texts, in which an alias is a copy."""
    if node.id == "mapping":
        return [[key.value if key.id == "scalar" else _tree(key), _tree(value)] for key, value in node.value]
    if node.id == "sequence":
        return tuple(_tree(item) for item in node.value)
    return node.value


def _subtree(tree: Any, path: Sequence[str]) -> Any:
    for name in path:
        tree = next(value for key, value in tree if key == name)
    return tree


def _replace(tree: Any, path: Sequence[str], key: str, value: Any) -> None:
    entry = next(entry for entry in _subtree(tree, path) if entry[0] == key)
    entry[1] = value


def _checked(text: str, expected: Any) -> str:
    if _tree(_root(text)) != expected:  # such as if a service's keys are merged into another service
        raise UnchangeableError("other parts of the file would change, too")
    return text


def is_mapping(text: str, path: Sequence[str]) -> bool:
    """Return whether the value at a path is a mapping that is written there."""
    try:
        _at(_root(text), path)
    except UnchangeableError:
        return False
    return True
