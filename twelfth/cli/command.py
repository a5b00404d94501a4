"""Add to Invoke's tasks what these commands need; `parser.py` changes how Invoke reads the command line.

A `Command` is a task whose positional arguments may be optional, that may take words after `--`, and whose errors are
one line and an exit code (`invoke.exceptions.Exit` is the only exception that Invoke prints cleanly).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.tasks import Task, task

from twelfth.cli.compose_options import NAMES
from twelfth.cli.outputs import escaped_outputs
from twelfth.errors import MisuseError, TwelfthError
from twelfth.hints import as_typed
from twelfth.runs.descriptors import is_in_background
from twelfth.stack.formatting import LAYOUT, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from invoke.parser.argument import Argument

HELP = {
    "detach": "Run in the background and print the run's id",
    "env": "Set a variable for the run; NAME alone takes its value from this shell",
    "json": "Print one JSON document",
    "no-output": "Keep no copy of the output; only the client gets it",
    "no-tty": "Allocate no terminal",
    "node": "Run on this node of the swarm, by name or label",
    "ready-within": "Allow each new replica this time to become ready (default: 60 plus its start_period)",
    "reason": "Keep this text in the record",
    "release": "Use this built release, or choose one of several that are running",
    "service": "Run in a container like those of this service",
    "timeout": "Stop the run after this time, such as 30, 90s, 5m or 1h: TERM, then KILL",
    "tty": "Allocate a terminal (default: if there is one)",
    "user": "Run as this user of the image: a name or UID[:GID]",
    "volume": "Mount a volume of the stack, or a path of the daemon's machine",
    "wait": "Wait this long for the data's lock",
    "workdir": "Run in this directory of the image",
    "yes": "Do not ask",
}
"""Help texts of options that several commands have."""

PLACEHOLDERS = {
    "env": "NAME=VALUE",
    "ready-within": "SECONDS",
    "reason": "TEXT",
    "release": "ID",
    "timeout": "SECONDS",
    "volume": "SRC:DST[:ro]",
    "wait": "SECONDS",
    "workdir": "DIR",
}
"""How `--help` shows the values of such options; by default an option's value is shown as its name."""

LETTERS = {
    "all": "a",
    "detach": "d",
    "env": "e",
    "follow": "f",
    "interactive": "i",
    "no-tty": "T",
    "quiet": "q",
    "tail": "n",
    "tty": "t",
    "user": "u",
    "volume": "v",
    "volumes": "v",
    "workdir": "w",
}
"""The short options, by their long names: those that Compose has too."""

INTERRUPTED, BROKEN_PIPE, TERMINATED, FAILED, MISUSE, ENGINE_FAILED = 130, 141, 143, 1, 2, 125

TAKING_WORDS: set[str] = set()
"""The commands whose words need the `--` before them."""


LONGEST_NUMBER = 12
"""Digits of the largest number that an option takes; Python reads no more than 4,300."""


def number(text: str, option: str, least: int = 0) -> int:
    """Return the value of an option as a number; raises `MisuseError` unless it is `least` or more."""
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER and int(text) >= least):
        raise MisuseError(f"{option} {text[: LONGEST_NUMBER + 1]}: must be a number, {least} or more")
    return int(text)


class Command(Task):  # type: ignore[type-arg]
    """A task of twelfth."""

    def __init__(self, body: Callable[..., Any], **options: Any) -> None:
        """Wrap the body.

        `words` is how `--help` shows the words after `--`, "" if the command takes none. Without `--` in it, the
        words may be typed without `--`, after the positional arguments; options may follow the names of services, but
        not the command of `exec`. `placeholders` is how `--help` shows the values of options and arguments. `job` is
        the job whose program's help is shown below. `rest` is the list option whose values may also be typed without
        the option, as in `up SERVICE`. With `has_plan`, the body handles Invoke's `--dry`.
        """
        self.words: str = options.pop("words", "")
        self.job: str = options.pop("job", "")
        self.rest: str = options.pop("rest", "")
        self.takes_rest = False
        """Whether a word that is not a command is added to the list `rest`; set when all commands are known."""
        self.placeholders: dict[str, str] = PLACEHOLDERS | options.pop("placeholders", {})
        has_plan = options.pop("has_plan", True)
        parameters = inspect.signature(body).parameters
        names = [name.replace("_", "-") for name in parameters]
        shared = {name: HELP[name] for name in names if name in HELP}
        options["help"] = shared | options.get("help", {})
        clean = exit_cleanly(body, takes_words=bool(self.words), has_plan=has_plan)
        # Without Invoke's letters: it would make `down -h` mean --history, and -r and -t different in each command.
        super().__init__(clean, auto_shortflags=False, **options)
        # Invoke takes a list, which has no default, for positional, and then fills it from its option only.
        self.positional = [name for name in self.positional if name not in self.iterable]

    @property
    def has_bare_words(self) -> bool:
        """Return whether the words may be typed without `--`."""
        return bool(self.words) and "--" not in self.words

    def separated(self, typed: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the words that belong before `--` and after it, of a line of this command that has no `--`."""
        takes_value = {name: argument.takes_value for argument in self.get_arguments() for name in argument.names}
        # Options of Compose come before the command: here they are refused, with their values.
        valued = {name for name in (*takes_value, *NAMES, "f", "p") if takes_value.get(name, True)}
        missing, before, words, rest = len([*self.positional]), [typed[0]], list[str](), [*typed[1:]]
        while rest:
            is_option = rest[0].startswith("-") and rest[0] != "-"
            if is_option or missing:
                missing -= not is_option
                size = 2 if is_option and _expects_value(rest[0], valued) else 1
                before += rest[:size]
            else:
                size = 1 if "SERVICE" in self.words else len(rest)
                words += rest[:size]
            del rest[:size]
        return before, words

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments with their defaults in their help; mark those that may be omitted."""
        if "--" in self.words:  # here and not in __init__: this is called only for commands that can be typed
            TAKING_WORDS.add(self.name)
        parameters = inspect.signature(self.body).parameters
        help_texts = dict(self.help)
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        self.help = help_texts  # Invoke empties it, and one command line may need the arguments twice
        for argument in arguments:
            if letter := LETTERS.get(argument.names[0]):
                argument.names = (*argument.names, letter)
            default = parameters[str(argument.name).replace("-", "_")].default
            argument.may_be_missing = default is None  # type: ignore[attr-defined]
            argument.value_name = self.placeholders.get(str(argument.name).replace("_", "-"))  # type: ignore[attr-defined]
            argument.takes_rest = self.takes_rest and argument.name == self.rest  # type: ignore[attr-defined]
            argument.help = " ".join(filter(None, (argument.help, _note(argument, default))))
        return arguments


def _expects_value(option: str, valued: Collection[str]) -> bool:
    """Return whether the next word is the value of this option, or of the last letter in `-dt`."""
    if option.startswith("--"):
        return option[2:] in valued
    first = next((place for place, letter in enumerate(option) if letter in valued), 0)
    return first == len(option) - 1


def _note(argument: Argument, default: object) -> str:
    if argument.kind is list:
        return "(repeatable)"
    has_default = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    return f"(default: {default})" if has_default else ""


command = functools.partial(task, klass=Command)


def exit_cleanly(body: Callable[..., Any], *, takes_words: bool, has_plan: bool) -> Callable[..., Any]:
    """Return the body with twelfth's errors, Ctrl-C and TERM translated into Invoke's clean exit."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        previous_handler = signal.signal(signal.SIGTERM, _terminate)
        try:
            with clean_output():
                if "--" in sys.argv and not takes_words:
                    raise MisuseError(f"{body.__name__} takes no words after --. Try: invoke --help {body.__name__}")
                if args[0].config.run.dry and not has_plan:
                    print(f"{body.__name__} has no plan to show; nothing was done")
                    return None
                return body(*args, **kwargs)
        except TwelfthError as error:
            raise failure(str(error), error.exit_code) from error
        except _TerminatedError:
            raise failure("terminated. To see the current state: invoke status", TERMINATED) from None
        except KeyboardInterrupt:
            raise failure("interrupted. To see the current state: invoke status", INTERRUPTED) from None
        finally:
            signal.signal(signal.SIGTERM, previous_handler)

    return wrapped


@contextlib.contextmanager
def clean_output() -> Iterator[None]:
    """Flush the output; translate an output, or any other file, that cannot be written into a clean exit.

    If the reader of a pipe has exited, such as `head`, exit silently, as other writers do; an error of the block itself
    is still reported.
    """
    try:
        try:
            with escaped_outputs():
                yield
        except Exit as command_exit:
            if not command_exit.message:  # a run failed, and its output still has to be written
                print(end="", flush=True)
            raise
        print(end="", flush=True)
    except OSError as error:
        _flush_or_drop()
        if isinstance(error, BrokenPipeError):
            raise Exit(code=BROKEN_PIPE) from None
        file = f"{error.filename}: " if error.filename else ""
        raise failure(f"cannot continue: {file}{error.strerror or error}", ENGINE_FAILED) from error
    except BaseException:
        _flush_or_drop()
        raise


def _flush_or_drop() -> None:
    """Python would try to write the rest again when it exits."""
    try:
        print(end="", flush=True)
    except OSError:
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), 1)


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM was received: as after Ctrl-C, unfinished changes are undone before the exit."""


@contextlib.contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Exit silently after Ctrl-C, which is the normal way to stop following a log."""
    try:
        yield
    except _TerminatedError:
        raise
    except KeyboardInterrupt:
        raise Exit(code=INTERRUPTED) from None


def _terminate(*_: object) -> None:
    raise _TerminatedError


def failure(message: str, code: int) -> Exit:
    """Return the exit of a command with a message of one line."""
    return Exit(f"twelfth: {printable(as_typed(message), LAYOUT)}", code)


def warn(line: str) -> None:
    """Print a warning on standard error."""
    print(f"twelfth: {printable(as_typed(line), LAYOUT)}", file=sys.stderr, flush=True)


def words_after_dashes() -> list[str]:
    """Return the words after `--` as they were typed; Invoke joins them with spaces, which loses their quoting."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def typed_services() -> list[str]:
    """Return the names of services that were typed, each once."""
    return [word for word in dict.fromkeys(words_after_dashes()) if word != "--"]


def on_terminal() -> bool:
    """Return whether standard input and output are a terminal with this process in the foreground."""
    streams = (sys.stdin, sys.stdout)
    return all(stream and stream.isatty() for stream in streams) and not is_in_background(sys.stdin.fileno())
