"""Functions for the tasks of a project: start a run, and deploy.

They follow the options of the command line: engine, `--dry` and Compose's. All errors are a
`twelfth.errors.TwelfthError`, with the exit code of the command that would fail in the same way.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twelfth.cli.command import warn
from twelfth.cli.parser import current_context
from twelfth.cli.target import Target
from twelfth.errors import MisuseError, RunFailedError, TwelfthError
from twelfth.hints import as_typed
from twelfth.model.duration import LONGEST
from twelfth.runs.request import SHORTEST, as_utf8, new_request
from twelfth.runs.request import command as words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from twelfth.engines.contract import Engine
    from twelfth.model.run import RunRequest


@dataclass(frozen=True)
class RunResult:
    """A run that has exited; `stdout` and `stderr` are empty unless they were captured.

    `exit_code` is that of the process, 124 after the time limit, and 128+N after signal N.
    """

    id: str
    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""

    def check(self) -> None:
        """Raise `RunFailedError` with this result unless the exit code is 0."""
        if self.exit_code:
            raise RunFailedError(self)


@contextmanager
def _typed_hints() -> Iterator[None]:
    """Let the hints of errors name the program, also if they end in a traceback of a script."""
    try:
        yield
    except TwelfthError as error:
        error.args = tuple(as_typed(part) if isinstance(part, str) else part for part in error.args)
        raise


@_typed_hints()
def run(
    command: Sequence[str],
    *,
    service: str = "",
    release: str = "",
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    reason: str = "",
    stdin: bytes | None = b"",
    capture: bool = False,
    check: bool = False,
) -> RunResult:
    """Run a command in a new process of the running release, and wait until it exits.

    Its output goes to that of this process; with `capture` it is returned. `stdin` is its input; None passes on the
    input of this process, and cannot be combined with `capture`. `timeout` is in seconds. With Invoke's `--dry`, only
    print how the run differs from its service. Call it in the main thread: Ctrl-C and TERM are sent to the run.

    Raises `RunFailedError` with `check` if the exit code is not 0, `NotUpError` if the stack is not up, `MisuseError`
    for an invalid argument, and other children of `TwelfthError`.
    """
    from twelfth.runs.start import describe

    if why := _why_invalid(command, environment or {}, timeout, stdin):
        raise MisuseError(f"cannot start a run: {why}")
    if capture and stdin is None:
        raise MisuseError("cannot start a run: capture needs stdin as bytes")
    context = current_context()
    target = Target(context, release, service)
    variables = tuple((as_utf8(name), as_utf8(value)) for name, value in (environment or {}).items())
    request = new_request(
        words(command),
        target.source,
        environment=variables,
        timeout=timeout,
        reason=reason,
        interactive=stdin is None or bool(stdin),
    )
    if context.config.run.dry:
        print(describe(target.engine(), request))
        return RunResult("", 0)
    result = _executed(target.engine(), request, stdin, capture=capture)
    if check:
        result.check()
    return result


def _why_invalid(
    command: Iterable[object], environment: Mapping[str, str], timeout: float | None, stdin: object
) -> str:
    """Tasks are rarely checked for types, and text as input would wait forever."""
    if isinstance(command, str) or not _are_texts(command):
        return "its command must be a list of texts"
    if not _are_texts((*environment, *environment.values())) or any("=" in name for name in environment):
        return "its environment must have texts, and names without ="
    if timeout is not None and not (isinstance(timeout, int | float) and SHORTEST <= timeout < LONGEST):
        return f"timeout {timeout} is not a number of seconds above 0"
    return "" if stdin is None or isinstance(stdin, bytes) else "stdin must be bytes or None"


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) and "\0" not in value for value in values)


@_typed_hints()
def run_job(
    name: str,
    arguments: Sequence[str] = (),
    *,
    release: str = "",
    timeout: str = "",
    reason: str = "",
    detach: bool = False,
    yes: bool = False,
) -> None:
    """Start a job of the Compose file or a program of `admin/`, without input, as its command does.

    Its rules apply: its question is asked unless `yes`, and the jobs that it depends on run first. Options have the
    format of the command line (`timeout="5m"`). If the run fails, the task exits with its exit code.
    """
    from twelfth.cli.jobs import start_admin

    context = current_context()
    settings: dict[str, Any] = {"timeout": timeout, "reason": reason, "detach": detach, "yes": yes}
    start_admin(context, Target(context, release), name, *arguments, interactive=False, **settings)


def _executed(engine: Engine, request: RunRequest, stdin: bytes | None, *, capture: bool) -> RunResult:
    from twelfth.runs.capture import start_captured
    from twelfth.runs.start import start_attached

    if stdin is None:
        return RunResult(request.id, start_attached(engine, request, warn))
    code, stdout, stderr = start_captured(engine, request, warn, stdin, passes=not capture)
    return RunResult(request.id, code, stdout, stderr)


@_typed_hints()
def up(*, scale: Mapping[str, int] | None = None, release: str = "") -> str:
    """Deploy the stack as the command `up` does, and return its address, "" if it has none.

    With `release`, deploy this release instead of the files. Raises a `TwelfthError` if the deploy fails.
    """
    from twelfth.cli.stack import deploy
    from twelfth.stack.status import address

    context = current_context()
    replicas = [f"{service}={number}" for service, number in (scale or {}).items()]
    deploy(context, replicas, release=release)
    engine = Target(context).engine()
    return "" if context.config.run.dry else address(engine.stack, engine.observe())
