"""Print the help of a program: what it prints for `--help` if it parses arguments, else its docstring.

A program that does not parse arguments would ignore `--help` and do its work.

This file is also executed in a run, as `python - MODULE`, with the Python of the image: it imports nothing else of
twelfth, and decides by the program of that release.
"""

from __future__ import annotations

import ast
import importlib.util
import runpy
import sys

MISSING = 1
"""The exit code if the release does not have the program."""

PARSERS = {
    "argparse": {"parse_args", "parse_known_args", "parse_intermixed_args"},
    "click": {"command", "group"},
    "docopt": {"docopt"},
    "typer": {"run", "Typer"},
}
"""Libraries that answer `--help`, and the names with which a program uses them."""


def parses_arguments(module: ast.Module) -> bool:
    """Return whether a program parses its arguments with a library that answers `--help`."""
    nodes = list(ast.walk(module))
    imports = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imports |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return any(library in imports and calls & names for library, calls in PARSERS.items())


def main(name: str) -> None:
    """Print the help of a program by its module's name."""
    try:
        spec = importlib.util.find_spec(name)
        if spec and spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ModuleNotFoundError:
        spec = None
    if not spec or not spec.origin:
        sys.exit(MISSING)
    with open(spec.origin, "rb") as file:  # noqa: PTH123 - the image's Python imports less without pathlib
        module = ast.parse(file.read())
    if parses_arguments(module):
        sys.argv = [name, "--help"]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        print(ast.get_docstring(module) or "")


if __name__ == "__main__":
    main(sys.argv[1])
