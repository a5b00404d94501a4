"""What `--help COMMAND` shows: how a command is typed, what it does, and what its arguments and options are for."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from invoke.parser.context import flag_key, to_flag

from twelfth.hints import program

if TYPE_CHECKING:
    from invoke.parser.argument import Argument
    from invoke.parser.context import ParserContext
    from invoke.program import Program

    from twelfth.cli.command import Command


def print_command_help(invoke: Program, task: Command, context: ParserContext) -> None:
    """Print how a command is typed, what it does, and what its arguments and options are for."""
    arguments = [(str(argument.name).upper(), argument) for argument in context.positional_args]
    words = [name if is_required(argument) else f"[{name}]" for name, argument in arguments]
    options = _options(context)
    words += [*(["[OPTIONS]"] if options else []), *(["[-- ARG…]"] if task.takes_words else [])]
    print("Usage:", program(), context.name, *words)
    print(f"\n{inspect.getdoc(task)}\n")
    _print_rows(invoke, "Arguments", [(name, argument.help or "") for name, argument in arguments])
    _print_rows(invoke, "Options", options)


def _options(context: ParserContext) -> list[tuple[str, str]]:
    """Return each option as it is typed, and what it is for; Invoke shows one of a list as if it took no value."""
    options = sorted((option for option in context.args.values() if not option.positional), key=flag_key)
    rows = [(option, *context.help_for(to_flag(option.name))) for option in options]
    return [(f"{flag}=STRING" if option.kind is list else flag, text) for option, flag, text in rows]


def _print_rows(invoke: Program, title: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        print(f"{title}:")
        invoke.print_columns(rows)


def is_required(argument: Argument) -> bool:
    """Return whether a positional argument must be given; one of a task that is not ours must."""
    return not getattr(argument, "may_be_missing", False)
