"""What Invoke's tasks and parser lack for these commands, added in one place.

A `Command` is a task whose positional arguments may have defaults, that may take words after `--`, and whose errors
are one line and an exit code (`invoke.exceptions.Exit` is the only exception that Invoke prints cleanly).
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.parser.parser import ParseMachine
from invoke.tasks import Task, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.parser.argument import Argument

INTERRUPTED, BROKEN_PIPE, FAILED, MISUSE, ENGINE_FAILED = 130, 141, 1, 2, 125

TAKING_WORDS: set[str] = set()
"""The commands that take words after `--`."""


class Command(Task):  # type: ignore[type-arg]
    """A task of this tool."""

    def __init__(self, body: Callable[..., Any], **options: Any) -> None:
        """Wrap the body; `takes_words` after `--`, `has_plan` to print for Invoke's `--dry`."""
        takes_words, has_plan = options.pop("takes_words", False), options.pop("has_plan", True)
        # No letters: Invoke would give `down -h` to --history, and each command another meaning to -r and -t.
        super().__init__(
            exit_cleanly(body, takes_words=takes_words, has_plan=has_plan), auto_shortflags=False, **options
        )
        self.__doc__ = f"{inspect.getdoc(body) or self.name}\n\nUsage: {self._usage(takes_words=takes_words)}"
        if takes_words:
            TAKING_WORDS.add(self.name)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments, each with its default in its help, and those marked that may be missing."""
        parameters = inspect.signature(self.body).parameters
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            default = parameters[str(argument.name).replace("-", "_")].default
            vars(argument)["may_be_missing"] = default is None
            if isinstance(default, str) and default:
                argument.help = f"{argument.help} (default: {default})"
        return arguments

    def _usage(self, *, takes_words: bool) -> str:
        parameters = inspect.signature(self.body).parameters
        names = [(name, parameters[name].default is None) for name in self.positional]
        words = [f"[{name.upper()}]" if optional else name.upper() for name, optional in names]
        return " ".join([program(), self.name, *words, "[OPTIONS]", *(["-- WORD…"] if takes_words else [])])


command = functools.partial(task, klass=Command)


def exit_cleanly(body: Callable[..., Any], *, takes_words: bool, has_plan: bool) -> Callable[..., Any]:
    """Return the body with our errors and Ctrl-C translated into Invoke's clean exit: the one place for it."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from twelfth.errors import MisuseError, TwelfthError

        try:
            if "--" in sys.argv and not takes_words:
                raise MisuseError(f"{body.__name__} takes nothing after --; see: invoke --help {body.__name__}")
            if args[0].config.run.dry and not has_plan:
                print(f"{body.__name__} would act; it has nothing to plan, and nothing was done")
                return None
            return body(*args, **kwargs)
        except TwelfthError as error:
            raise _exit(str(error), error.exit_code) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise Exit(code=BROKEN_PIPE) from None
        except OSError as error:
            what = f"{error.filename}: " if error.filename else ""
            raise _exit(f"{what}{error.strerror or error}; fix that and repeat it", ENGINE_FAILED) from error
        except KeyboardInterrupt:
            raise _exit("interrupted; to see where it stands: invoke status", INTERRUPTED) from None

    return wrapped


def _exit(message: str, code: int) -> Exit:
    return Exit(f"twelfth: {as_typed(message)}", code)


def warn(line: str) -> None:
    """Print a warning on standard error."""
    print(f"twelfth: {as_typed(line)}", file=sys.stderr, flush=True)


def program() -> str:
    """Return the program that was typed: `./inv` says so in TWELFTH_PROGRAM, else it is how this process was called."""
    return os.environ.get("TWELFTH_PROGRAM") or Path(sys.argv[0]).name.removesuffix(".py").replace(
        "__main__", "twelfth"
    )


def as_typed(message: str) -> str:
    """Return a message whose hints (`invoke up`) name the program that was typed."""
    return re.sub(r"(?<![\w/.-])invoke (?=-?-?[a-z])", f"{program()} ", message)


def words_after_dashes() -> list[str]:
    """Return the words after `--` as they were typed; Invoke joins them with spaces and so loses their quoting."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def on_terminal() -> bool:
    """Return whether both standard input and standard output are a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def install_parser_extensions() -> None:
    """Let Invoke's parser know positional arguments that may be missing, and have it exit with 2 for misuse."""
    complete_context = ParseMachine.complete_context

    def allow_missing(parser: ParseMachine) -> None:
        for argument in parser.context.missing_positional_args if parser.context else []:
            if getattr(argument, "may_be_missing", False):
                argument.value = ""
        complete_context(parser)

    ParseMachine.error = _refuse  # type: ignore[method-assign,assignment]
    ParseMachine.complete_context = allow_missing  # type: ignore[method-assign,assignment]


def _refuse(parser: ParseMachine, message: str) -> None:
    """End with what is wrong with the command line and the exit code of misuse; Invoke's own is 1."""
    name = parser.context.name if parser.context else None
    hint = f"see: invoke --help {name}" if name else "see: invoke --list"
    if name in TAKING_WORDS and message.startswith("No idea what"):
        hint = f"what is for the program comes after --, as in: invoke {name} -- WORD…"
    raise _exit(f"{message.rstrip('!.')}; {hint}", MISUSE)
