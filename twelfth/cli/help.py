"""Print `--help COMMAND`: the usage, the description, the arguments and the options; and the help of `twelfth`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from twelfth.hints import program

if TYPE_CHECKING:
    from collections.abc import Collection

    from invoke.parser.argument import Argument
    from invoke.parser.context import ParserContext
    from invoke.program import Program

    from twelfth.cli.command import Command


HIDDEN = {
    *("command-timeout", "complete", "debug", "echo", "hide", "list-depth", "list-format", "print-completion-script"),
    *("prompt-for-sudo-password", "pty", "search-root", "warn-only", "write-pyc"),
}
"""Options of Invoke that work and are not shown: they have no effect here, or another option does the same."""

OVERVIEW = {
    "config": ("FILE", "Read Invoke's configuration from this file"),
    "dry": ("", "Print the plan, or how a run differs from its service; change nothing"),
    "env-file": ("FILE", ""),
    "file": ("FILE", ""),
    "help": ("[COMMAND]", "Show this help, or that of a command"),
    "list": ("", "List the commands"),
    "profile": ("NAME", ""),
    "project-directory": ("DIR", ""),
    "project-name": ("NAME", ""),
    "version": ("", "Show the versions of twelfth and Compose"),
}
"""How the program's options are shown: the value, and the help unless that of the argument is used."""

SUBJECTS = {"releases": "Releases", "runs": "Runs", "history": "Runs", "schedule": "Runs"}
"""Subjects by the module of a command; that of all other modules of twelfth is the stack."""


def print_program_overview(invoke: Program) -> None:
    """Print the help of the program: its options, and its commands by subject."""
    print(f"Usage: {program()} [OPTIONS] COMMAND [ARG…]\n")
    options = [option for option in invoke.core_args() if option.name not in HIDDEN]
    _print_rows(invoke, "Options", [_program_option(option) for option in sorted(options, key=lambda o: str(o.name))])
    groups: dict[str, list[tuple[str, str]]] = {"Stack": [], "Releases": [], "Runs": []}
    names = sorted(invoke.collection.task_names)
    width = max(map(len, names), default=0)
    for name in names:
        task = invoke.collection[name]
        summary = (inspect.getdoc(task) or "").partition("\n")[0].removesuffix(".")
        groups.setdefault(_subject(task), []).append((name.ljust(width), summary))
    for title, rows in groups.items():
        _print_rows(invoke, title, rows)
    print(f"Try: {program()} --help COMMAND")


def _program_option(option: Argument) -> tuple[str, str]:
    value, text = OVERVIEW.get(str(option.name), ("", ""))
    return f"{_flags(option.names)} {value}".rstrip(), text or str(option.help or "")


def _flags(names: Collection[str]) -> str:
    letter = next((f"-{name}, " for name in names if len(name) == 1), "    ")  # the long names are below each other
    return letter + next(f"--{name}" for name in names if len(name) > 1)


def _subject(task: Any) -> str:
    package, _, module = task.body.__module__.rpartition(".")
    if getattr(task, "job", ""):
        return "Jobs and programs"
    if package == "twelfth.cli":
        return SUBJECTS.get(module, "Stack")
    return "Data" if package.startswith("twelfth_redis") else "Project"


def print_command_help(invoke: Program, task: Command, context: ParserContext) -> None:
    """Print the help of a command of twelfth."""
    arguments = [(value_name(argument), argument) for argument in context.positional_args]
    words = [name if is_required(argument) else f"[{name}]" for name, argument in arguments]
    options = _options(context)
    words += [*(["[OPTIONS]"] if options else []), *([task.words] if task.words else [])]
    words += [f"[{task.rest.upper()}…]"] if task.rest else []
    print("Usage:", program(), context.name, *words)
    print(f"\n{inspect.getdoc(task)}\n")
    _print_rows(invoke, "Arguments", [(name, argument.help or "") for name, argument in arguments])
    _print_rows(invoke, "Options", options)


def _options(context: ParserContext) -> list[tuple[str, str]]:
    options = (option for option in context.args.values() if not option.positional)
    return [
        (
            f"{_flags(option.names)} {value_name(option) if option.takes_value else ''}".rstrip(),
            str(option.help or ""),
        )
        for option in sorted(options, key=lambda option: str(option.name))
    ]


def _print_rows(invoke: Program, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        print(f"{title}:")
        invoke.print_columns(rows)


def value_name(argument: Argument) -> str:
    """Return how the value of an argument or option is shown."""
    return getattr(argument, "value_name", None) or str(argument.name).upper()


def is_required(argument: Argument) -> bool:
    """Return whether a positional argument is required, as it is in every task that Invoke itself defines."""
    return not getattr(argument, "may_be_missing", False)
