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

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.parser.parser import ParseMachine
from invoke.tasks import Task, task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoke.context import Context
    from invoke.parser.argument import Argument

    from stack.engines.base import Engine
    from stack.model import Running, Snapshot

HERE = Path(__file__).resolve().parent
INTERRUPTED, BROKEN_PIPE, FAILED, MISUSE, ENGINE_FAILED = 130, 141, 1, 2, 125


WORDY: set[str] = set()
"""The commands that take words after `--`."""


class Verb(Task):  # type: ignore[type-arg]
    """A task whose positional arguments may have a default, and whose errors are one line and an exit code."""

    def __init__(self, body: Callable[..., Any], **options: Any) -> None:
        """Wrap the body so that what the operator caused never shows a traceback."""
        words, dry = options.pop("takes_words", False), options.pop("minds_dry", True)
        # No letters: Invoke would give `down -h` to --history, and each command another meaning to -r and -t.
        super().__init__(_told(body, takes_words=words, minds_dry=dry), auto_shortflags=False, **options)
        if words:
            WORDY.add(self.name)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments, those that have a default marked so."""
        parameters = inspect.signature(self.body).parameters
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            name = str(argument.name).replace("-", "_")
            vars(argument)["may_be_missing"] = parameters[name].default is None
        return arguments


def _allow_missing(parser: ParseMachine) -> None:
    """Give what may be left out its empty value: Invoke's parser knows only positionals that must be there."""
    for argument in parser.context.missing_positional_args if parser.context else []:
        if getattr(argument, "may_be_missing", False):
            argument.value = ""
    _complete_context(parser)


def _refuse(parser: ParseMachine, message: str) -> None:
    """End with what is wrong with the command line and the exit code of misuse; Invoke's own is 1."""
    name = parser.context.name if parser.context else None
    hint = f"see: invoke --help {name}" if name else "see: invoke --list"
    if name in WORDY and message.startswith("No idea what"):
        hint = f"what is for the program comes after --, as in: invoke {name} -- WORD…"
    raise Exit(f"twelfth: {message.rstrip('!.')}; {hint}", MISUSE)


_complete_context = ParseMachine.complete_context
ParseMachine.error = _refuse  # type: ignore[method-assign,assignment]
ParseMachine.complete_context = _allow_missing  # type: ignore[method-assign,assignment]


def _told(body: Callable[..., Any], *, takes_words: bool, minds_dry: bool) -> Callable[..., Any]:
    """Return the body with our errors and Ctrl-C translated into Invoke's clean exit: the one place for it."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from stack.errors import MisuseError, TwelfthError

        try:
            if "--" in sys.argv and not takes_words:
                raise MisuseError(f"{body.__name__} takes nothing after --; see: invoke --help {body.__name__}")
            if args[0].config.run.dry and not minds_dry:
                _say(f"{body.__name__} would act; it has nothing to plan, and nothing was done")
                return None
            return body(*args, **kwargs)
        except TwelfthError as error:
            raise Exit(f"twelfth: {error}", error.exit_code) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise Exit(code=BROKEN_PIPE) from None
        except OSError as error:
            what = f"{error.filename}: " if error.filename else ""
            raise Exit(f"twelfth: {what}{error.strerror or error}; mend that and repeat it", ENGINE_FAILED) from error
        except KeyboardInterrupt:
            raise Exit("twelfth: interrupted; to see where it stands: invoke status", INTERRUPTED) from None

    return wrapped


verb = functools.partial(task, klass=Verb)


def _say(line: str) -> None:
    print(line, flush=True)


def _warn(line: str) -> None:
    print(f"twelfth: {line}", file=sys.stderr, flush=True)


def _engine(c: Context, release: str = "", scale: Sequence[str] = (), *, build: bool = False) -> Engine:
    """Return the engine with the stack as it is declared, of the release that is named.

    Where none is named, it is of the release that the files make now with `build`, else of none in particular.
    """
    from stack import lifecycle
    from stack.engines import choose

    anew = build and not release
    stack = lifecycle.current(HERE, os.environ, _warn) if anew else lifecycle.declared(HERE, os.environ, release)
    engine = choose(c.config.engine, lifecycle.scaled(stack, scale))
    if release:
        lifecycle.require_release(engine, release)
    return engine


def _found(c: Context) -> tuple[Engine, Snapshot]:
    """Return the engine where the stack is up, and what is there; raises where nothing is."""
    from stack import lifecycle

    return lifecycle.found(_engine(c))


@verb(
    iterable=["scale"],
    help={
        "force": "replace a worker even under an unfinished run",
        "release": "one that was built before",
        "scale": "SERVICE=N replicas, such as worker=2",
    },
)
def up(c: Context, scale: list[str], release: str = "", force: bool = False) -> None:
    """Build what is missing, converge the stack, wait until it answers, print its address."""
    from stack import lifecycle, screen

    engine = _engine(c, release, scale, build=True)
    if c.config.run.dry:
        _say("\n".join(map(str, lifecycle.steps_up(engine))) or "nothing to do")
        return
    with screen.steps() as say:
        address = lifecycle.up(engine, say, force=force)
    _say(address)


@verb(help={"volumes": "remove the data too", "history": "remove the record of runs too"})
def down(c: Context, volumes: bool = False, history: bool = False) -> None:
    """Stop and remove the stack; its data and the record of runs stay unless they are named."""
    from stack import lifecycle, screen

    engine = _engine(c)
    if c.config.run.dry:
        steps = lifecycle.steps_down(engine, volumes=volumes, history=history)
        _say("\n".join(map(str, steps)) or "nothing to do")
        return
    with screen.steps() as say:
        done = lifecycle.down(engine, say, volumes=volumes, history=history)
    if not done:
        _say("nothing is up")


@verb(help={"json": "one JSON object"})
def status(c: Context, json: bool = False) -> None:
    """Show services, replicas, health, release and address."""
    from stack import lifecycle

    shown = lifecycle.status(_engine(c))
    _say(shown.json() if json else str(shown))


@verb(
    positional=["service"],
    help={"service": "all of them when left out", "follow": "go on as it comes", "run": "of a run, by its id"},
)
def logs(c: Context, service: str | None = None, follow: bool = False, run: str = "") -> None:
    """Show what a service, or a run, printed."""
    from stack import journal, oneoff

    if run:
        oneoff.printed(_engine(c).runs, run, follow=follow)
        return
    engine, found = _found(c)
    for line in journal.lines(engine, journal.chosen(engine.stack, found, service or ""), follow=follow):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


@verb(minds_dry=False, help={"count": "how many", "concurrency": "at a time", "json": "one JSON object"})
def hit(c: Context, count: str = "", concurrency: str = "1", json: bool = False) -> None:
    """Visit the service: print its sentence, or with --count what many visits prove."""
    from stack import lifecycle, screen, smoke

    many, at_once = smoke.number("--count", count or "1"), smoke.number("--concurrency", concurrency)
    url = lifecycle.door(_engine(c))
    if not (count or json):
        _say(smoke.sentence(url))
        return
    with screen.bar(many, "hits") as tell:
        report = smoke.volley(url, many, at_once, tell)
    _say(report.json() if json else str(report))
    if not report.is_good:
        raise Exit(code=FAILED)


def _run(
    c: Context,
    command: Sequence[str],
    *,
    release: str = "",
    detach: bool = False,
    streams: tuple[int, int] = (0, 1),
    **asked: Any,
) -> None:
    """Run a command from what serves, and exit with its code where that is not 0."""
    from stack import oneoff

    engine, replica = _made_from(c, release)
    order = oneoff.order(command, replica, **asked)
    if c.config.run.dry:
        _say(oneoff.dry(engine, order))
    elif detach:
        _say(oneoff.detach(engine, order))
    elif code := oneoff.run(engine, order, streams):
        raise Exit(code=code)


def _made_from(c: Context, release: str) -> tuple[Engine, Running]:
    """Return the engine and what a run is made from: a running worker, or a built release that is named."""
    from stack import oneoff

    engine = _engine(c, release)
    return engine, oneoff.source(engine, release)


def _after_dashes() -> list[str]:
    """Return the words after `--` as they were typed; Invoke joins them with spaces and so loses their quoting."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def _on_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


@verb(
    takes_words=True,
    iterable=["env"],
    help={
        "detach": "print the id and leave it to itself",
        "env": "NAME=VALUE instead of the worker's",
        "reason": "kept in the record",
        "release": "a built release, or the one of several that run",
        "timeout": "seconds; then TERM, and KILL",
        "tty": "a terminal, the default where there is one",
        "no-tty": "no terminal, even where there is one",
    },
)
def run(
    c: Context,
    env: list[str],
    detach: bool = False,
    reason: str = "",
    release: str = "",
    timeout: str = "",
    tty: bool = False,
    no_tty: bool = False,
) -> None:
    """Run any command, given after --, in a new process made from the running worker."""
    from stack import oneoff

    terminal = oneoff.terminal_wanted(tty=tty, no_tty=no_tty, detach=detach, there_is_one=_on_terminal())
    asked: dict[str, Any] = {
        "environment": oneoff.overrides(env, os.environ),
        "timeout": oneoff.seconds(timeout),
        "reason": reason,
    }
    command = oneoff.command(_after_dashes())
    _run(c, command, release=release, detach=detach, tty=terminal, interactive=not detach, **asked)


def _admin(c: Context, name: str, *arguments: str, **asked: Any) -> None:
    """Run one of the release's admin processes."""
    _run(c, ["python", "-m", f"admin.{name}", *arguments], is_told=True, **asked)


REASON, OF_RELEASE = "kept in the record", "a built release, or the one of several that run"
WAIT = "seconds to wait for whoever changes the data now"


@verb(help={"to": "the value to go on from", "wait": WAIT, "reason": REASON, "release": OF_RELEASE})
def reset(c: Context, to: str = "0", wait: str = "0", reason: str = "", release: str = "") -> None:
    """Set the counter, to 0 unless told otherwise, and say what it was."""
    _admin(c, "reset", "--to", to, *_waiting(wait), reason=reason, release=release, interactive=False)


@verb(
    help={
        "status": "show each revision, and change nothing",
        "json": "with --status: one JSON object",
        "to": "go up or down to a revision; 0 is before the first",
        "baseline": "record up to this revision as applied, and do nothing else",
        "throttle": "at most so many keys a second",
        "take-over": "finish what another release left unfinished",
        "wait": WAIT,
        "reason": REASON,
        "release": OF_RELEASE,
    }
)
def migrate(
    c: Context,
    status: bool = False,
    json: bool = False,
    to: str = "",
    baseline: str = "",
    throttle: str = "",
    take_over: bool = False,
    wait: str = "0",
    reason: str = "",
    release: str = "",
) -> None:
    """Bring the data to the revision that the release needs; with --dry say what that would do."""
    flags = {"--status": status, "--json": json, "--take-over": take_over, "--dry": c.config.run.dry}
    values = {"--to": to, "--baseline": baseline, "--throttle": throttle}
    words = [*(name for name, given in flags.items() if given)]
    words += [word for name, value in values.items() if value for word in (name, value)]
    c.config.run.dry = False  # the run itself is what tells
    _admin(c, "migrate", *words, *_waiting(wait), reason=reason, release=release, interactive=False)


@verb(
    positional=["file"],
    help={
        "file": "where to; backups/TIME.resp.gz when left out",
        "stdout": "write it to standard output",
        "wait": WAIT,
        "reason": REASON,
        "release": OF_RELEASE,
    },
)
def backup(
    c: Context, file: str | None = None, stdout: bool = False, wait: str = "0", reason: str = "", release: str = ""
) -> None:
    """Write all data to a file that `restore` and `redis-cli --pipe` can load; complete and verified, or not there."""
    from stack.errors import MisuseError

    asked: dict[str, Any] = {"reason": reason, "release": release, "wait": wait}
    if file and file.startswith("-"):
        raise MisuseError(f"there is no option {file}; for standard output: invoke backup --stdout, or: ./{file}")
    if stdout and (file or sys.stdout.isatty()):
        raise MisuseError("--stdout writes bytes to a pipe or a file: invoke backup --stdout >FILE, without a FILE")
    if stdout or c.config.run.dry:
        _back_up(c, **asked)
    else:
        _say(str(_save(c, file, **asked)))


def _back_up(c: Context, *options: str, wait: str, **asked: Any) -> None:
    """Have all data written, to nobody but us."""
    _admin(c, "backup", *options, *_waiting(wait), interactive=False, kept=False, **asked)


def _waiting(wait: str) -> tuple[str, ...]:
    return () if wait == "0" else ("--wait", wait)


def _save(c: Context, file: str | None = None, *options: str, mark: str = "", **asked: Any) -> Path:
    """Take a backup, verify what is on the disk, and return where it is."""
    from stack import archive

    path = archive.place(Path(file)) if file else archive.chosen(HERE / "backups", mark)
    with archive.written(path) as (number, part):
        _back_up(c, *options, streams=(0, number), **asked)
        _verify(c, part, hide="stdout")
    return path if file else Path(os.path.relpath(path))


@verb(minds_dry=False, positional=["file"], help={"file": "a backup", "json": "one JSON object"})
def verify(c: Context, file: str, json: bool = False) -> None:
    """Read a whole backup, and show what it holds; needs no stack."""
    _verify(c, _file(file), *(["--json"] if json else []))


def _verify(c: Context, path: Path, *options: str, hide: str | None = None) -> None:
    """Check a backup on this machine, or exit with what is wrong with it."""
    import shlex

    command = shlex.join([sys.executable, "-m", "admin.verify", *options, str(path.resolve())])
    with c.cd(str(HERE)):
        result = c.run(command, warn=True, in_stream=False, hide=hide, dry=False)
    if not result.ok:
        raise Exit(code=result.exited)


def _file(name: str) -> Path:
    """Return a file that is there; raises `MisuseError`."""
    from stack.errors import MisuseError

    if not (path := Path(name)).is_file():
        what = "is a directory" if path.is_dir() else "is no file that is there"
        raise MisuseError(f"{name} {what}; backups are in: {os.path.relpath(HERE / 'backups')}")
    return path


@verb(
    positional=["file"],
    help={
        "file": "a backup",
        "yes": "do not ask",
        "wait": WAIT,
        "reason": REASON,
        "release": OF_RELEASE,
    },
)
def restore(c: Context, file: str, yes: bool = False, wait: str = "0", reason: str = "", release: str = "") -> None:
    """Replace all data by that of a backup, at once or not at all; what is there now is saved first."""
    _verify(c, path := _file(file))
    asked = {"reason": reason, "release": release}
    _made_from(c, release)  # else there is no need to ask
    if c.config.run.dry:
        _admin(c, "restore", **asked)
        return
    if not yes:
        _confirm("replace all data that is there now by this?")
    saved = _save(c, None, "--before-restore", mark="-before-restore", wait=wait, **asked)
    _say(f"what is there now is saved: {saved}")
    with path.open("rb") as source:  # without waiting: whoever came between would make the save one of older data
        _admin(c, "restore", streams=(source.fileno(), 1), **asked)


def _confirm(question: str) -> None:
    """Ask, and exit where the answer is not yes; raises `MisuseError` where there is nobody to ask."""
    from stack.errors import MisuseError

    if not _on_terminal():
        raise MisuseError("there is no terminal to ask on; to go on without asking: --yes")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Exit("twelfth: nothing was changed", FAILED)


@verb(help={"reason": REASON, "release": OF_RELEASE})
def console(c: Context, reason: str = "", release: str = "") -> None:
    """Open a Python prompt with the counter and the Redis client at hand."""
    _admin(c, "console", reason=reason, release=release, tty=_on_terminal())


@verb(help={"json": "one JSON array"})
def history(c: Context, json: bool = False) -> None:
    """Show the record of runs, the oldest first."""
    from stack import view

    records = _engine(c).runs.records()
    _say(view.history_json(records) if json else view.history(records))


@verb(minds_dry=False, help={"run": "its id, or the beginning of it"})
def stop(c: Context, run: str) -> None:
    """End a run: TERM, and KILL after its grace period."""
    from stack import oneoff

    ended = oneoff.stop(_engine(c).runs, run, _warn)
    _say(f"{ended.id} {ended.state}, exit code {ended.exit_code}")


@verb(minds_dry=False)
def build(c: Context) -> None:
    """Make the release that the files of this directory give, and print its name."""
    from stack import lifecycle, screen

    engine = _engine(c, build=True)
    with screen.steps() as say:
        name = lifecycle.build(engine, say)
    _say(name)


def _develop(c: Context, *commands: str) -> None:
    """Run tools of this environment, each on the whole tree; exit with the first code that is not 0."""
    import importlib.util

    from stack.errors import MisuseError

    if not importlib.util.find_spec("pytest"):
        raise MisuseError("what tests and checks need is not installed; it is, once and by itself, with: ./inv check")
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with c.cd(str(HERE)):
        for command in commands:
            if not (result := c.run(command, warn=True, in_stream=False)).ok:
                raise Exit(code=result.exited)


@verb
def check(c: Context) -> None:
    """Lint, format-check and type-check the tree."""
    _develop(c, "ruff check .", "ruff format --check .", "mypy")


@verb(takes_words=True)
def test(c: Context) -> None:
    """Run the tests; what follows -- goes to pytest."""
    import shlex

    _develop(c, shlex.join(["pytest", *_after_dashes()]))


@verb(takes_words=True)
def bench(c: Context) -> None:
    """Time twelfth beside docker compose, redis-cli and others; what follows -- is the number of rounds."""
    import shlex

    _develop(c, *(shlex.join(["python", f"bench/{name}.py", *_after_dashes()]) for name in ("compare", "bulk")))


def _first_line(path: Path) -> str:
    """Return the first line of a program's docstring without running it."""
    import ast

    try:
        return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
    except (OSError, SyntaxError, ValueError) as error:
        return f"({type(error).__name__} in {path.name})"


def _program(path: Path) -> Task:  # type: ignore[type-arg]
    """Return the command that an admin program is by being there; what follows -- are its arguments."""

    def body(c: Context, reason: str = "") -> None:
        try:
            _admin(c, path.stem, *_after_dashes(), reason=reason, tty=_on_terminal())
        except Exit as ended:
            if ended.code == FAILED:
                _warn_of_another_release(c)
            raise

    body.__doc__ = _first_line(path) or f"Run admin/{path.name}."
    return Verb(body, name=path.stem.replace("_", "-"), takes_words=True, help={"reason": "kept in the record"})


def _warn_of_another_release(c: Context) -> None:
    """Say so where the files here are not what runs: a program may be missing there, or be older."""
    from stack import oneoff

    serving, here = oneoff.source(_engine(c)).release, oneoff.built(_engine(c, build=True).stack).image
    if not here.endswith(f":{serving}"):
        _warn(f"the files here are not the release that runs, {serving}; to have them in it: invoke up")


OWN = (up, down, status, logs, hit, run, reset, migrate, backup, verify, restore, console, history, stop)
DEVELOP = (build, check, test, bench)
ns = Collection(*OWN, *DEVELOP)
ns.configure({"engine": "auto"})
for program in sorted((HERE / "admin").glob("[!_]*.py")):
    if program.stem.isidentifier() and program.is_file() and program.stem not in ns.task_names:
        ns.add_task(_program(program))
