"""What Invoke's parser lacks for these commands: arguments that may be missing, misuse in one line, help with both.

Invoke has no place to add to these, so five of its methods are replaced, four of them by ones that call them.
"""

from __future__ import annotations

import difflib
import re
import sys
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit, ParseError
from invoke.parser.parser import ParseMachine, Parser
from invoke.program import Program

from twelfth.cli.command import MISUSE, TAKING_WORDS, Command, clean_output, failure
from twelfth.cli.compose_file import SHORT, is_chosen, refusal, unknown_option
from twelfth.cli.help import is_required, print_command_help
from twelfth.cli.outputs import prepare_outputs
from twelfth.hints import program

if TYPE_CHECKING:
    from collections.abc import Iterable


LIST = "see: invoke --list"
"""What to type where no command is known."""

_begin, _complete_context = Parser.__init__, ParseMachine.complete_context
_parse_cleanup, _print_task_help = Program.parse_cleanup, Program.print_task_help


def install_parser_extensions() -> None:
    """Add all of it to Invoke; once more changes nothing."""
    program()  # takes what `./inv` says out of the environment, before anything is started
    prepare_outputs()
    parser: Any = Parser
    parser.__init__ = _begin_with_underscores
    machine: Any = ParseMachine
    machine.complete_context, machine.error = _allow_missing, _refuse
    of_program: Any = Program
    of_program.parse_cleanup, of_program.print_task_help = _list_or_help, _print_help


def _begin_with_underscores(parser: Parser, *arguments: Any, **options: Any) -> None:
    """Know each command with underscores, too, for which Invoke has dashes: `admin/say_hello.py` is `say_hello`."""
    _begin(parser, *arguments, **options)
    contexts: Any = parser.contexts
    for name in [each for each in contexts if "-" in each]:
        contexts.alias(name.replace("-", "_"), to=name)


def _allow_missing(parser: ParseMachine) -> None:
    """Take an empty text for a positional argument that was left out and may be."""
    for argument in parser.context.missing_positional_args if parser.context else []:
        if not is_required(argument):
            argument.value = ""
    _complete_context(parser)


def _list_or_help(invoke: Program) -> None:
    """Show the list or the help that is asked for; refuse that of a command which is not there."""
    with clean_output():
        _refuse_compose_file(invoke)
        try:
            _parse_cleanup(invoke)
        except (Exit, ParseError) as error:
            if not (message := str(error)):
                raise  # what was asked for is shown
            meant = _meant(message, invoke.parser.contexts)
            raise _misuse(message, f"did you mean: invoke --help {meant}" if meant else LIST) from error


def _refuse_compose_file(invoke: Program) -> None:
    """Refuse `-f FILE`, which Invoke has taken for the name of its own configuration."""
    file = invoke.args["config"].value or ""
    if is_chosen(file, sys.argv):
        raise failure(refusal(SHORT, sys.argv[1:], invoke.parser.contexts, file), MISUSE)


def _print_help(invoke: Program, name: str) -> None:
    if isinstance(task := invoke.collection[name], Command):
        print_command_help(invoke, task, invoke.parser.contexts[name])
    else:
        _print_task_help(invoke, name)


def _meant(message: str, names: Iterable[str]) -> str:
    """Return the command that is most like one that is not known; an empty string where none is."""
    unknown = re.fullmatch("No idea what '(.*)' is!", message)
    return next(iter(difflib.get_close_matches(unknown[1], list(names), 1)), "") if unknown else ""


def _refuse(parser: ParseMachine, message: str) -> None:
    """End with what is wrong with the command line and the exit code of misuse; Invoke's own is 1."""
    name = parser.context.name if parser.context else None
    hint = f"see: invoke --help {name}" if name else LIST
    if option := unknown_option(sys.argv, parser.context.flags if parser.context and name else ()):
        raise failure(refusal(option, sys.argv[1:], parser.contexts), MISUSE)
    if name in TAKING_WORDS and message.startswith("No idea what"):
        hint = f"what is for the program comes after --, as in: invoke {name} -- WORD…"
    elif meant := _meant(message, parser.contexts):
        hint = f"did you mean: invoke {meant}"
    if "--complete" in sys.argv:
        raise ParseError(message, parser.context)  # which Invoke takes for a command line that is not whole yet
    raise _misuse(message, hint)


def _misuse(message: str, hint: str) -> Exit:
    """Return the end of a command line that Invoke does not understand, with what to type next."""
    return failure(f"{message.rstrip('!.')}; {hint}", MISUSE)
