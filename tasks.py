"""Twelfth's commands: each observes, asks `stack` to decide and act, and prints what came of it.

Heavy things are imported where they are used, so that `invoke --list` costs what Invoke itself costs.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Collection, Exit, Task, task
from invoke.parser.parser import ParseMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke import Argument, Context

    from stack.engines.base import Engine
    from stack.model import Snapshot, Stack

HERE = Path(__file__).resolve().parent
INTERRUPTED, BROKEN_PIPE, FAILED = 130, 141, 1


class Verb(Task):  # type: ignore[type-arg]
    """A task whose positional arguments may have a default, and whose errors are one line and an exit code."""

    def __init__(self, body: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401 - Invoke's own signature
        """Wrap the body so that what the operator caused never shows a traceback."""
        super().__init__(_told(body), **options)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: FBT001 - Invoke's own
        """Return the arguments, those that have a default marked so."""
        parameters = inspect.signature(self.body).parameters
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            argument.may_be_missing = parameters[argument.name.replace("-", "_")].default is None
        return arguments


def _allow_missing(parser: ParseMachine) -> None:
    """Give what may be left out its empty value: Invoke's parser knows only positionals that must be there."""
    for argument in parser.context.missing_positional_args if parser.context else []:
        if getattr(argument, "may_be_missing", False):
            argument.value = ""
    _complete_context(parser)


_complete_context, ParseMachine.complete_context = ParseMachine.complete_context, _allow_missing


def _told(body: Callable[..., Any]) -> Callable[..., Any]:
    """Return the body with our errors and Ctrl-C translated into Invoke's clean exit: the one place for it."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the body takes
        from stack.errors import TwelfthError  # noqa: PLC0415

        try:
            return body(*args, **kwargs)
        except TwelfthError as error:
            raise Exit(f"twelfth: {error}", error.exit_code) from error
        except KeyboardInterrupt:
            raise Exit("twelfth: interrupted; to see where it stands: invoke status", INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise Exit(code=BROKEN_PIPE) from None

    return wrapped


verb = functools.partial(task, klass=Verb)


def _say(line: str) -> None:
    print(line, flush=True)


def _engine(c: Context, release: str = "", scale: tuple[str, ...] | list[str] = ()) -> Engine:
    """Return the engine with the stack as it is declared now."""
    from stack import lifecycle  # noqa: PLC0415
    from stack.engines import choose  # noqa: PLC0415

    return choose(c.config.engine, lifecycle.scaled(lifecycle.load(HERE, os.environ, identity=release), scale))


def _found(c: Context) -> tuple[Engine, Snapshot]:
    """Return the engine where the stack is up, and what is there."""
    from stack import lifecycle  # noqa: PLC0415

    return lifecycle.found(c.config.engine, lifecycle.load(HERE, os.environ))


@verb(iterable=["scale"], help={"scale": "SERVICE=N replicas, such as worker=2", "release": "a release made before"})
def up(c: Context, scale: list[str], release: str = "") -> None:
    """Build what is missing, converge the stack, wait until it answers, print its address."""
    from stack import lifecycle  # noqa: PLC0415

    engine = _engine(c, release, scale)
    if c.config.run.dry:
        _say("\n".join(map(str, lifecycle.steps_up(engine))) or "nothing to do")
    else:
        _say(lifecycle.up(engine, _say))


@verb(help={"volumes": "remove the data too"})
def down(c: Context, volumes: bool = False) -> None:
    """Stop and remove the stack; its data stays unless --volumes is given."""
    from stack import lifecycle  # noqa: PLC0415

    engine = _engine(c)
    if c.config.run.dry:
        _say("\n".join(map(str, lifecycle.steps_down(engine, volumes=volumes))) or "nothing to do")
    elif not lifecycle.down(engine, _say, volumes=volumes):
        _say("nothing is up")


@verb(help={"json": "one JSON object"})
def status(c: Context, json: bool = False) -> None:
    """Show services, replicas, health, release and address."""
    from stack import lifecycle  # noqa: PLC0415

    shown = lifecycle.status(_engine(c))
    _say(shown.json() if json else str(shown))


@verb(positional=["service"], help={"service": "all of them when left out", "follow": "go on as they print"})
def logs(c: Context, service: str | None = None, follow: bool = False) -> None:
    """Show what a service printed."""
    from stack import journal  # noqa: PLC0415

    engine, found = _found(c)
    for line in journal.lines(engine, journal.chosen(engine.stack, found, service or ""), follow=follow):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


@verb(help={"count": "how many", "concurrency": "at a time", "json": "one JSON object"})
def hit(c: Context, count: int = 0, concurrency: int = 1, json: bool = False) -> None:
    """Visit the service: print its sentence, or with --count what many visits prove."""
    from stack import lifecycle, smoke  # noqa: PLC0415

    url = lifecycle.url(_found(c)[1].address)
    if not (count or json):
        text = smoke.sentence(url)
        _say(text)
        return
    report = smoke.volley(url, max(count, 1), concurrency)
    _say(report.json() if json else str(report))
    if not report.is_good:
        raise Exit(code=FAILED)


def _run(c: Context, *command: str, release: str = "", **asked: object) -> None:
    """Run a command from what serves, and exit with its code."""
    from stack import oneoff  # noqa: PLC0415

    engine, found = _found(c)
    order = oneoff.order(command, oneoff.worker(engine.stack, found, release), **asked)
    if code := oneoff.run(engine, order):
        raise Exit(code=code)


def _after_dashes() -> list[str]:
    """Return the words after `--` as they were typed; Invoke joins them with spaces and so loses their quoting."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


@verb(iterable=["env"], help={"env": "KEY=VALUE instead of the worker's", "reason": "kept in the record"})
def run(c: Context, env: list[str], reason: str = "", release: str = "") -> None:
    """Run any command, given after --, in a new process made from the running worker."""
    from stack import oneoff  # noqa: PLC0415

    _run(c, *_after_dashes(), release=release, environment=oneoff.overrides(env), reason=reason)


@verb(help={"to": "what to count on from"})
def reset(c: Context, to: str = "0", reason: str = "") -> None:
    """Set the counter, to 0 unless told otherwise, and say what it was."""
    _run(c, "python", "-m", "admin.reset", "--to", to, reason=reason, interactive=False)


@verb
def build(c: Context) -> None:
    """Make the release that the files of this directory give, and print its name."""
    from stack import lifecycle  # noqa: PLC0415

    _say(lifecycle.build(_engine(c), _say))


def _develop(c: Context, *commands: str) -> None:
    """Run tools of this environment, each on the whole tree; exit with the first code that is not 0."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with c.cd(str(HERE)):
        for command in commands:
            if not (result := c.run(command, warn=True, in_stream=False)).ok:
                raise Exit(code=result.exited)


@verb
def check(c: Context) -> None:
    """Lint, format-check and type-check the tree."""
    _develop(c, "ruff check .", "ruff format --check .", "mypy")


@verb
def test(c: Context) -> None:
    """Run the tests; what follows -- goes to pytest."""
    import shlex  # noqa: PLC0415

    _develop(c, shlex.join(["pytest", *_after_dashes()]))


ns = Collection(up, down, status, logs, hit, run, reset, build, check, test)
ns.configure({"engine": "auto"})
