"""Replace four methods of Invoke, which has no hooks for what they do (pyproject.toml requires invoke<4).

- `ParseMachine.error`: an invalid argument exits with 2; Invoke's exit code is 1.
- `Program.parse_cleanup`: so does the name of an unknown command after `--help` and `--list`; an output that is closed,
  as by `head`, ends both; and `-f FILE`, which is Compose's option and Invoke's, does not deploy the default files.
- `ParseMachine.complete_context`: an argument may be left out, as in `logs [SERVICE]`.
- `Program.print_task_help`: `--help` shows which words are arguments, and those after `--`.
"""

from __future__ import annotations

import difflib
import re
import sys
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit, ParseError
from invoke.parser.parser import ParseMachine
from invoke.program import Program

from twelfth.cli.command import MISUSE, TAKING_WORDS, Command, clean_output, failure
from twelfth.cli.compose_file import SHORT, is_chosen, refusal, unknown_option
from twelfth.cli.help import is_required, print_command_help
from twelfth.cli.outputs import prepare_outputs
from twelfth.hints import program

if TYPE_CHECKING:
    from collections.abc import Iterable


LIST = "see: invoke --list"

_complete_context, _parse_cleanup = ParseMachine.complete_context, Program.parse_cleanup
_print_task_help = Program.print_task_help


def install_parser_extensions() -> None:
    """Replace the methods; calling it again changes nothing."""
    program()  # takes what `./inv` says out of the environment, before anything is started
    prepare_outputs()
    machine: Any = ParseMachine
    machine.complete_context, machine.error = _allow_missing, _refuse
    invoke: Any = Program
    invoke.parse_cleanup, invoke.print_task_help = _list_or_help, _print_help


def _allow_missing(parser: ParseMachine) -> None:
    for argument in parser.context.missing_positional_args if parser.context else []:
        if not is_required(argument):
            argument.value = ""
    _complete_context(parser)


def _list_or_help(invoke: Program) -> None:
    with clean_output():
        file = invoke.args["config"].value or ""
        if is_chosen(file, sys.argv):
            raise failure(refusal(SHORT, sys.argv[1:], file), MISUSE)
        try:
            _parse_cleanup(invoke)
        except (Exit, ParseError) as error:
            if not (message := str(error)):
                raise  # the list or the help is printed
            command = _similar(message, invoke.parser.contexts)
            raise _invalid(message, f"did you mean: invoke --help {command}" if command else LIST) from error


def _print_help(invoke: Program, name: str) -> None:
    if isinstance(task := invoke.collection[name], Command):
        print_command_help(invoke, task, invoke.parser.contexts[name])
    else:
        _print_task_help(invoke, name)


def _similar(message: str, names: Iterable[str]) -> str:
    """Return the command that is most like an unknown one, an empty string if none is."""
    unknown = re.fullmatch("No idea what '(.*)' is!", message)
    return next(iter(difflib.get_close_matches(unknown[1], list(names), 1)), "") if unknown else ""


def _refuse(parser: ParseMachine, message: str) -> None:
    name = parser.context.name if parser.context else None
    hint = f"see: invoke --help {name}" if name else LIST
    if option := unknown_option(sys.argv, parser.context.flags if parser.context and name else ()):
        raise failure(refusal(option, sys.argv[1:]), MISUSE)
    if name in TAKING_WORDS and message.startswith("No idea what"):
        hint = f"what is for the program comes after --, as in: invoke {name} -- WORD…"
    elif command := _similar(message, parser.contexts):
        hint = f"did you mean: invoke {command}"
    if "--complete" in sys.argv:
        raise ParseError(message, parser.context)  # which Invoke takes for a command line that is not complete yet
    raise _invalid(message, hint)


def _invalid(message: str, hint: str) -> Exit:
    return failure(f"{message.rstrip('!.')}; {hint}", MISUSE)
