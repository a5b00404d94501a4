"""Print `--help COMMAND`: the usage, the description, the arguments and the options."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from invoke.parser.context import flag_key, to_flag

from twelfth.hints import program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoke.parser.argument import Argument
    from invoke.parser.context import ParserContext
    from invoke.program import Program

    from twelfth.cli.command import Command


def print_command_help(invoke: Program, task: Command, context: ParserContext) -> None:
    """Print the help of a command of twelfth."""
    arguments = [(str(argument.name).upper(), argument) for argument in context.positional_args]
    words = [name if is_required(argument) else f"[{name}]" for name, argument in arguments]
    options = _options(context, task.placeholders)
    words += [*(["[OPTIONS]"] if options else []), *([task.words] if task.words else [])]
    print("Usage:", program(), context.name, *words)
    print(f"\n{inspect.getdoc(task)}\n")
    _print_rows(invoke, "Arguments", [(name, argument.help or "") for name, argument in arguments])
    _print_rows(invoke, "Options", options)


def _options(context: ParserContext, placeholders: Mapping[str, str]) -> list[tuple[str, str]]:
    """Invoke shows the value of each option as STRING, and no value for an option that is repeatable."""
    options = sorted((option for option in context.args.values() if not option.positional), key=flag_key)
    rows = []
    for option in options:
        flag, text = context.help_for(to_flag(option.name))
        name = str(option.name).replace("_", "-")
        value = placeholders.get(name, name.upper())
        flag = re.sub(r"[ =]STRING\b", "", flag)
        rows.append((f"{flag}={value}" if option.kind in {str, list} else flag, text))
    return rows


def _print_rows(invoke: Program, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        print(f"{title}:")
        invoke.print_columns(rows)


def is_required(argument: Argument) -> bool:
    """Return whether a positional argument is required, as it is in every task that Invoke itself defines."""
    return not getattr(argument, "may_be_missing", False)
