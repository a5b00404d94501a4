"""What Invoke's tasks lack for these commands, added in one place (`parser.py` is about what is typed).

A `Command` is a task whose positional arguments may have defaults, that may take words after `--`, and whose errors
are one line and an exit code (`invoke.exceptions.Exit` is the only exception that Invoke prints cleanly).
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

from twelfth.cli.compose_file import LONG, SHORT, refusal
from twelfth.cli.outputs import escaped_outputs
from twelfth.errors import MisuseError, TwelfthError
from twelfth.hints import as_typed
from twelfth.runs.descriptors import is_in_background
from twelfth.stack.formatting import LAYOUT, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from invoke.parser.argument import Argument

HELP = {
    "json": "one JSON document",
    "ready-within": "time limit for each new replica to get ready (default: 60 s plus its start_period)",
    "reason": "kept in the record",
    "release": "a built release, or the one of several that run",
    "service": "made from a container of this service",
    "wait": "time to wait for the data's lock",
}
"""What options are for that several commands have."""

INTERRUPTED, BROKEN_PIPE, TERMINATED, FAILED, MISUSE, ENGINE_FAILED = 130, 141, 143, 1, 2, 125

TAKING_WORDS: set[str] = set()
"""The commands that take words after `--`."""


LONGEST_NUMBER = 12
"""Digits of the largest number that an option takes; Python reads no more than 4,300."""


def number(text: str, option: str, least: int = 0) -> int:
    """Return what an option says, a number of at least so many; raises `MisuseError` for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER and int(text) >= least):
        raise MisuseError(f"{option} {text[: LONGEST_NUMBER + 1]}: say a number, {least} or more")
    return int(text)


class Command(Task):  # type: ignore[type-arg]
    """A task of this tool."""

    def __init__(self, body: Callable[..., Any], **options: Any) -> None:
        """Wrap the body; `takes_words` after `--`, `has_plan` to print for Invoke's `--dry`."""
        self.takes_words = options.pop("takes_words", False)
        has_plan = options.pop("has_plan", True)
        parameters = inspect.signature(body).parameters
        names = [parameter.replace("_", "-") for parameter in parameters]
        shared = {name: HELP[name] for name in names if name in HELP}
        options["help"] = shared | options.get("help", {})
        required = [name for name, each in parameters.items() if each.default is each.empty]
        clean = exit_cleanly(
            body, takes_words=self.takes_words, has_plan=has_plan, positional=options.get("positional", required)
        )
        # No letters: Invoke would give `down -h` to --history, and each command another meaning to -r and -t.
        super().__init__(clean, auto_shortflags=False, **options)
        # Invoke takes a list, which has no default, for positional, and then fills it from its option only.
        self.positional = [name for name in self.positional if name not in self.iterable]

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments, each with its default in its help, and those marked that may be missing."""
        if self.takes_words:  # said here, where only commands come that can be typed
            TAKING_WORDS.add(self.name)
        parameters = inspect.signature(self.body).parameters
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            default = parameters[str(argument.name).replace("-", "_")].default
            argument.may_be_missing = default is None  # type: ignore[attr-defined]
            argument.help = "; ".join(filter(None, (argument.help, _notes(argument, default))))
        return arguments


def _notes(argument: Argument, default: object) -> str:
    """Return what the help of an argument says besides what it is for."""
    if argument.kind is list:
        return "may be given again"
    shown = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    return f"{default} when left out" if shown else ""


command = functools.partial(task, klass=Command)


def exit_cleanly(
    body: Callable[..., Any], *, takes_words: bool, has_plan: bool, positional: Collection[str]
) -> Callable[..., Any]:
    """Return the body with our errors, Ctrl-C and TERM translated into Invoke's clean exit: the one place for it."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before = signal.signal(signal.SIGTERM, _terminate)
        try:
            with clean_output():
                if "--" in sys.argv and not takes_words:
                    raise MisuseError(f"{body.__name__} takes nothing after --; see: invoke --help {body.__name__}")
                _refuse_options(body.__name__, [kwargs.get(name) for name in positional])
                if args[0].config.run.dry and not has_plan:
                    print(f"{body.__name__} would act; it has nothing to plan, and nothing was done")
                    return None
                return body(*args, **kwargs)
        except TwelfthError as error:
            raise failure(str(error), error.exit_code) from error
        except _TerminatedError:
            raise failure("terminated; to see where it stands: invoke status", TERMINATED) from None
        except KeyboardInterrupt:
            raise failure("interrupted; to see where it stands: invoke status", INTERRUPTED) from None
        finally:
            signal.signal(signal.SIGTERM, before)

    return wrapped


def _refuse_options(name: str, arguments: Iterable[object]) -> None:
    """Raise `MisuseError` for an option that Invoke took for an argument, as it does where there is no such option."""
    for word in arguments:
        if isinstance(word, str) and word.startswith((SHORT, LONG)):
            raise MisuseError(refusal(LONG if word.startswith(LONG) else SHORT, sys.argv[1:]))
        if isinstance(word, str) and word.startswith("--"):
            own = f"; what is for all commands comes first: invoke {word} {name}" if word == "--dry" else ""
            raise MisuseError(f"there is no option {word}; see: invoke --help {name}{own}")


@contextlib.contextmanager
def clean_output() -> Iterator[None]:
    """Write out what is printed; translate an output, or any other file, that cannot be written into a clean exit.

    A reader that went away, such as `head`, ends it without a word, as it does any writer to a pipe. Where it ends by
    an error of its own, that is what is told.
    """
    try:
        try:
            with escaped_outputs():
                yield
        except Exit as end:
            if not end.message:  # what was asked for is printed
                print(end="", flush=True)
            raise
        print(end="", flush=True)
    except OSError as error:
        _flush_or_drop()
        if isinstance(error, BrokenPipeError):
            raise Exit(code=BROKEN_PIPE) from None
        what = f"{error.filename}: " if error.filename else ""
        raise failure(f"{what}{error.strerror or error}; fix that and repeat it", ENGINE_FAILED) from error
    except BaseException:
        _flush_or_drop()
        raise


def _flush_or_drop() -> None:
    """Write out what is printed; where that cannot be, drop it, which Python would try to write at its end."""
    try:
        print(end="", flush=True)
    except OSError:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 1)


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM came: as with Ctrl-C, what is half done is put back on the way out."""


@contextlib.contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end what has nothing else to end it, such as a log that is followed, without a word."""
    try:
        yield
    except _TerminatedError:
        raise
    except KeyboardInterrupt:
        raise Exit(code=INTERRUPTED) from None


def _terminate(*_: object) -> None:
    raise _TerminatedError


def failure(message: str, code: int) -> Exit:
    """Return the end of a command in one line."""
    return Exit(f"twelfth: {printable(as_typed(message), LAYOUT)}", code)


def warn(line: str) -> None:
    """Print a warning on standard error."""
    print(f"twelfth: {printable(as_typed(line), LAYOUT)}", file=sys.stderr, flush=True)


def words_after_dashes() -> list[str]:
    """Return the words after `--` as they were typed; Invoke joins them with spaces and so loses their quoting."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def on_terminal() -> bool:
    """Return whether standard input and output are a terminal with this process in the foreground."""
    streams = (sys.stdin, sys.stdout)
    return all(stream and stream.isatty() for stream in streams) and not is_in_background(sys.stdin.fileno())
