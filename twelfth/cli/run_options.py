"""The options of a run, declared once for all commands that start one."""

from __future__ import annotations

import functools
import inspect
from dataclasses import MISSING, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class RunOptions:
    """The options of `run`, as they were typed; each field is an option, and a list without a default is repeatable."""

    env: Sequence[str]
    volume: Sequence[str]
    detach: bool = False
    node: str = ""
    reason: str = ""
    release: str = ""
    service: str = ""
    timeout: str = ""
    tty: bool = False
    no_tty: bool = False
    no_output: bool = False
    user: str = ""
    workdir: str = ""

    def with_terminal(self, tty: bool | None) -> RunOptions:
        """Return the options with the terminal that a job requires or refuses; unchanged for None."""
        return self if tty is None else replace(self, tty=tty, no_tty=not tty)


REPEATABLE = [field.name for field in fields(RunOptions) if field.default is MISSING]


def taking_options(body: Callable[..., None]) -> Callable[..., None]:
    """Return the body as a function with a parameter for each option instead of its parameter `options`.

    Invoke makes the options of a command from the parameters of its function.
    """

    @functools.wraps(body)
    def wrapped(c: Any, **values: Any) -> None:
        options = RunOptions(**{field.name: values.pop(field.name) for field in fields(RunOptions)})
        body(c, options=options, **values)

    context, _, *others = inspect.signature(body).parameters.values()
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(
            field.name, kind, default=inspect.Parameter.empty if field.default is MISSING else field.default
        )
        for field in fields(RunOptions)
    ]
    keyword_only = [parameter.replace(kind=kind) for parameter in others]
    wrapped.__signature__ = inspect.Signature([context, *parameters, *keyword_only])  # type: ignore[attr-defined]
    return wrapped
