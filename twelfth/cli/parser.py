"""Replace seven methods of Invoke, which has no hooks for what they do (pyproject.toml requires invoke<4).

- `ParseMachine.error`: exit with 2 after an invalid argument; Invoke exits with 1.
- `Program.parse_cleanup`: exit with 2 if `--help` or `--list` names an unknown command; exit silently if their reader
  has exited, such as `head`; refuse `-f FILE`: for Compose it is the file to deploy, for Invoke its configuration.
- `Program.parse_tasks`: allow `--` to be omitted, as in `exec SERVICE COMMAND`; add the commands of jobs if they are
  shown, or if a word is not another command, since reading them may execute Compose.
- `ParseMachine.complete_context`: allow an argument to be omitted, as in `rollback [RELEASE]`.
- `ParseMachine.see_positional_arg`: treat `--help` after a command as a request for its help, not as its argument.
- `Program.execute`: print an error of twelfth that a project's task raises as one line, and announce a task that
  replaces a command.
- `Program.print_task_help`: show in `--help` which words are arguments, and which come after `--`.
"""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.parser.parser import ParseMachine
from invoke.program import Program

from twelfth.cli.command import MISUSE, TAKING_WORDS, Command, clean_output, failure, warn
from twelfth.cli.compose_commands import answer, answer_to_option, answer_to_service
from twelfth.cli.compose_file import (
    LONG,
    SHORT,
    is_chosen,
    refusal,
    refusal_of_option,
    unknown_option,
    words_before_dashes,
)
from twelfth.cli.compose_options import NAMES
from twelfth.cli.help import is_required, print_command_help, value_name
from twelfth.cli.job_commands import add_jobs, refuse_disabled, service_names
from twelfth.cli.outputs import prepare_outputs
from twelfth.errors import TwelfthError
from twelfth.hints import command_name, program

if TYPE_CHECKING:
    from collections.abc import Iterable

    from invoke.collection import Collection


LIST = "Try: invoke --list"

_complete_context, _parse_cleanup = ParseMachine.complete_context, Program.parse_cleanup
_see_positional_arg = ParseMachine.see_positional_arg
_parse_tasks, _print_task_help = Program.parse_tasks, Program.print_task_help
_execute_tasks = Program.execute
_programs: list[Program] = []
"""The program that executes tasks."""

_parsing: list[Program] = []
"""The program whose tasks are parsed; its own options are known."""


def install_parser_extensions() -> None:
    """Replace the methods; calling it again changes nothing."""
    program()  # removes the variable of `./inv` from the environment before a process could inherit it
    prepare_outputs()
    machine: Any = ParseMachine
    machine.complete_context, machine.error = _allow_missing, _refuse
    machine.see_positional_arg = _take_argument
    invoke: Any = Program
    invoke.parse_tasks, invoke.parse_cleanup = _parse_with_jobs, _list_or_help
    invoke.print_task_help, invoke.execute = _print_help, _execute


def _allow_missing(parser: ParseMachine) -> None:
    for argument in parser.context.missing_positional_args if parser.context else []:
        if not is_required(argument):
            argument.value = ""
    _complete_context(parser)


def _take_argument(parser: ParseMachine, value: str) -> None:
    if reply := answer_to_option(parser.context.name or "", value):
        raise failure(reply, MISUSE)
    if value not in {"-h", "--help"}:
        _refuse_option(parser, value)
        _see_positional_arg(parser, value)
        return
    parser.initial.flags["--help"].value = parser.context.name
    for argument in parser.context.missing_positional_args:
        argument.value = ""


def _refuse_option(parser: ParseMachine, word: str) -> None:
    """Refuse an unknown option, which Invoke takes for the value of a positional argument of our commands."""
    name = parser.context.name or ""
    is_our_command = hasattr(parser.context.missing_positional_args[0], "may_be_missing")
    if is_our_command and word.startswith((SHORT, LONG)):
        raise failure(refusal(LONG if word.startswith(LONG) else SHORT, sys.argv[1:]), MISUSE)
    if is_our_command and word.startswith("-") and word != "-":
        raise failure(_no_option(name, word), MISUSE)


def _no_option(command: str, option: str) -> str:
    hint = f"invoke --dry {command}" if option in {"--dry", "--dry-run"} else f"invoke --help {command}"
    return f"{command} has no option {option}. Try: {hint}"


def _separate_words(invoke: Program) -> None:
    """Insert `--` before the words of a command that may be typed without it, such as those of `exec`."""
    typed = words_before_dashes(invoke.core.unparsed)
    task = invoke.collection[typed[0]] if typed[:1] and typed[0] in invoke.collection.task_names else None
    if isinstance(task, Command) and task.has_bare_words:
        before, words = task.separated(typed)
        end = len(words_before_dashes(sys.argv))
        sys.argv[end - len(typed) : end] = [*before, *(["--", *words] if words else [])]
        invoke.core.unparsed = before


def _parse_with_jobs(invoke: Program) -> None:
    _parsing[:] = [invoke]
    _separate_words(invoke)
    if _shows_jobs(invoke):
        hidden = add_jobs(invoke.collection, _ignore if invoke.args["complete"].value else warn)
        for line in hidden if invoke.args["list"].value else ():
            warn(line)
        _announce(invoke, invoke.collection.task_names if invoke.args["list"].value else ())
        if isinstance(helped := invoke.args["help"].value, str):
            [invoke.args["help"].value] = _with_commands(invoke, [helped])
    try:
        _parse_tasks(invoke)
    except (Exit, ParseError):
        if not (words := _unknown_words(invoke)) or "--complete" in sys.argv:
            raise
        add_jobs(invoke.collection, warn)
        invoke.core.unparsed = _with_commands(invoke, invoke.core.unparsed)
        takes_rest = _take_rest(invoke)
        if words == _unknown_words(invoke):
            refuse_disabled(invoke.collection, words)
            if not takes_rest:
                raise
        _parse_tasks(invoke)


def _take_rest(invoke: Program) -> bool:
    """Let commands take words that are no commands, such as `up SERVICE`; return whether the line has such a command.

    Before the commands of jobs are known, such a word may be the name of a job.
    """
    typed = {name for name in invoke.core.unparsed if name in invoke.collection.task_names}
    commands = [task for name in typed if getattr(task := invoke.collection[name], "rest", "")]
    for task in commands:
        task.takes_rest = True
    return bool(commands)


def _ignore(_: str) -> None:
    """Print nothing: a shell completes the line."""


def _shows_jobs(invoke: Program) -> bool:
    helped = invoke.args["help"].value
    if isinstance(helped, str):
        return helped not in invoke.collection.task_names
    return bool(helped or invoke.args["list"].value or invoke.args["complete"].value or not invoke.core.unparsed)


def _with_commands(invoke: Program, words: list[str]) -> list[str]:
    """Return words with each name of a job or program as its command: both may be typed."""
    known = {command: command for command in invoke.collection.task_names}
    typed = [known.get(word) or known.get(command_name(word), word) for word in words_before_dashes(words)]
    return [*typed, *words[len(typed) :]]


def _unknown_words(invoke: Program) -> list[str]:
    words = words_before_dashes(invoke.core.unparsed)
    return [word for word in words if not word.startswith("-") and word not in invoke.collection.task_names]


def _list_or_help(invoke: Program) -> None:
    with clean_output():
        _refuse_compose_options(invoke)
        try:
            _parse_cleanup(invoke)
        except (Exit, ParseError) as error:
            if not (message := str(error)):
                raise  # the list or the help is printed
            command = _similar(message, invoke.parser.contexts)
            raise _invalid(message, f"Try: invoke --help {command}" if command else LIST) from error


def _refuse_compose_options(invoke: Program) -> None:
    command = next((str(context.name) for context in invoke.tasks), "config")
    file = invoke.args["config"].value or ""
    if "file" not in invoke.args and is_chosen(file, sys.argv):
        raise failure(refusal(SHORT, sys.argv[1:], file, command), MISUSE)
    if invoke.core_via_tasks.args["version"].value:
        typed = words_before_dashes(invoke.core.unparsed)
        version, hint = ("--version", "--version") if "--version" in typed else ("-V", f"--help {command}")
        raise failure(f"{command} has no option {version}. Try: invoke {hint}", MISUSE)
    late = [name for name in NAMES if name in invoke.args and invoke.core_via_tasks.args[name].got_value]
    flags = [flag for flag in (SHORT, LONG) if any(flag in context.flags for context in invoke.tasks)]
    option = unknown_option(words_before_dashes(invoke.core.unparsed), flags)
    is_last = words_before_dashes(invoke.core.unparsed)[-1:] == [option]  # without a value
    if "file" in invoke.args and option and (is_last or "file" in late):
        raise failure(refusal(option, sys.argv[1:], command=command), MISUSE)
    if late:
        is_short = late[0] == "project-name" and not any(word.startswith("--project-name") for word in sys.argv)
        if is_short and (reply := answer_to_option(command, "-p")):
            raise failure(reply, MISUSE)
        value = invoke.core_via_tasks.args[late[0]].value
        words = [f"--{late[0]}", value if isinstance(value, str) else value[0], command]
        raise failure(f"--{late[0]} comes before the command. Try: twelfth {shlex.join(words)}", MISUSE)


def _print_help(invoke: Program, name: str) -> None:
    if isinstance(task := invoke.collection[name], Command):
        print_command_help(invoke, task, invoke.parser.contexts[name])
        if task.job:
            from twelfth.cli.program_help import print_program_help

            print_program_help(_context(invoke), task.job, task.__doc__ or "")
    else:
        _print_task_help(invoke, name)


def current_context() -> Context:
    """Return the context of the command that is executed; outside of a program, that of the working directory."""
    if _programs:
        return _context(_programs[-1])
    from twelfth.cli.program import Twelfth

    program_here = Twelfth()
    program_here.create_config()
    program_here.parse_core(["twelfth"])
    program_here.parse_collection()
    program_here.update_config()
    return _context(program_here)


def commands_after(name: str) -> list[str]:
    """Return the commands of the line that come after this one."""
    typed = [str(context.name) for context in _programs[-1].tasks] if _programs else []
    return typed[typed.index(name) + 1 :] if name in typed else []


def _execute(invoke: Program) -> None:
    """Print an error of twelfth that a project's task raises as one line."""
    _programs.append(invoke)
    try:
        _announce(invoke, [str(context.name) for context in invoke.tasks])
        _execute_tasks(invoke)
    except TwelfthError as error:
        raise failure(str(error), error.exit_code) from error


def _announce(invoke: Program, names: Iterable[str]) -> None:
    for name in dict.fromkeys(names):
        if is_replaced(invoke.collection, name):
            warn(f"{name}: tasks.py replaces twelfth's command")


def is_replaced(collection: Collection, name: str) -> bool:
    """Return whether a project's task has the name of a command of twelfth."""
    from twelfth.cli.program import ALWAYS

    builtin = {task.name: task for task in ALWAYS}
    is_project = "project" in collection.configuration()
    # Not the tasks: a collection copies them.
    return is_project and name in builtin and collection[name].body is not builtin[name].body


def _context(invoke: Program) -> Context:
    """Return the context that Invoke makes for a task when it executes it."""
    config = invoke.config.clone()
    config.load_collection(invoke.collection.configuration())
    config.load_shell_env()
    return Context(config)


def _unknown_word(message: str) -> str:
    match = re.fullmatch("No idea what '(.*)' is!", message, re.DOTALL)
    return match[1] if match else ""


def _similar(message: str, names: Iterable[str]) -> str:
    word = _unknown_word(message)
    same_kind = [name for name in names if name.startswith("-") == word.startswith("-")]
    return next(iter(difflib.get_close_matches(word, same_kind, 1)), "") if word else ""


def _refuse(parser: ParseMachine, message: str) -> None:
    name = parser.context.name if parser.context else None
    hint = f"Try: invoke --help {name}" if name else LIST
    word = _unknown_word(message)
    arguments = parser.context.args.values() if parser.context and name else ()
    rest = [argument for argument in arguments if getattr(argument, "takes_rest", False)]
    is_complete = "--complete" not in sys.argv
    # Before -f: it may be an option of a command of Compose, or of the command of a run.
    if word and not rest and is_complete and (reply := _reply(parser, name or "", word)):
        raise failure(reply, MISUSE)
    if option := unknown_option(_words_with_file(), parser.context.flags if parser.context and name else ()):
        raise failure(refusal(option, sys.argv[1:]), MISUSE)
    if word and rest and not word.startswith("-"):
        rest[0].set_value(word)
        return
    if word and is_complete and (reply := _reply(parser, name or "", word)):
        raise failure(reply, MISUSE)
    if name in TAKING_WORDS and word and "--" not in sys.argv:
        hint = f"Words for the program come after --. Try: invoke {name} -- ARG…"
    elif option := _similar(message, parser.context.flags if parser.context else ()):
        hint = f"Did you mean {option}? {hint}"
    elif command := _similar(message, parser.contexts):
        hint = f"Try: invoke {command}"
    if not is_complete:
        raise ParseError(message, parser.context)  # for Invoke the line is not complete yet
    if name and (missing := " ".join(map(value_name, parser.context.missing_positional_args))):
        message = f"{name} needs {missing}"
    raise _invalid(message, hint)


def _words_with_file() -> list[str]:
    """Return the words among which `-f` is invalid: for `twelfth`, those from the command on."""
    if program() != "twelfth":
        return sys.argv
    return _parsing[-1].core.unparsed if _parsing else []


def _reply(parser: ParseMachine, command: str, word: str) -> str:
    """Return the error for a word or option of Compose, "" for any other, such as a mistyped command."""
    if command and word == "--dry-run":
        return _no_option(command, word)
    if word.startswith("-"):
        return answer_to_option(command, word) or refusal_of_option(word, sys.argv[1:])
    if command in TAKING_WORDS:
        services = service_names(_parsing[-1].collection) if command == "run" and _parsing else ()
        return answer_to_service(command, word, services)
    is_mistyped = difflib.get_close_matches(word, parser.contexts, 1)
    return answer(word, sys.argv[1:]) or ("" if is_mistyped else answer_to_service(command, word))


def _invalid(message: str, hint: str) -> Exit:
    if word := _unknown_word(message):
        message = f"unknown {'option' if word.startswith('-') else 'command'} {word}"
    return failure(f"{message.rstrip('!.')}. {hint}", MISUSE)
