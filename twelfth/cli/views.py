"""Put a stack's status and the record of runs into words: a table for people, JSON for scripts."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twelfth.hints import as_typed
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.model.run import Run
    from twelfth.model.stack import Stack
    from twelfth.stack.release_history import ReleaseStatus
    from twelfth.stack.status import ServiceStatus, Status

WIDEST = 50
"""Characters of a command that the table shows."""


def _table(*rows: tuple[str, ...]) -> str:
    """Return rows of words as lines, in columns as wide as they need to be; a word is on one line."""
    rows = tuple(tuple(map(printable, row)) for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def status(found: Status) -> str:
    """Return a stack's status as a few lines for people."""
    if not found.services:
        return as_typed(f"nothing of {found.project} is up on {found.engine}; try: invoke up")
    services = _table(("SERVICE", "READY", "STATE", "HEALTH", "RESTARTS", "RELEASE"), *map(_service, found.services))
    head = f"{found.project} on {found.engine}, release {found.release or '-'}"
    deploy = (f"at work: {found.deploy}",) if found.deploy else ()
    return "\n".join((head, services, *_details(found), *deploy, _answers(found)))


def _service(row: ServiceStatus) -> tuple[str, ...]:
    count = f"{row.ready}/{row.wanted}"
    return (row.service, count, row.state, row.health or "-", str(row.restarts), row.release or "-")


def _answers(found: Status) -> str:
    if not found.ready:
        where = f"{found.address} is " if found.address else ""
        return as_typed(f"{where}not ready: {found.why or 'it does not run'}")
    return f"{found.address} answers" if found.address else "ready; it publishes no port"


def _details(found: Status) -> tuple[str, ...]:
    """Return what the healthchecks tell, name by name; what is empty, true or false goes without saying.

    Their `error` is why it is not ready, and said as that.
    """
    texts = {name: value for name, value in found.details.items() if isinstance(value, str) and value}
    details = [f"{name} {value}" for name, value in texts.items() if name != "error"]
    return (printable(", ".join(details)),) if details else ()


def status_json(found: Status) -> str:
    """Return a stack's status as one JSON object, what its healthchecks tell beside what we know."""
    values = asdict(found) | {"why": as_typed(found.why), "warnings": [*map(as_typed, found.warnings)]}
    return to_json(values.pop("details") | values)


def to_json(value: object) -> str:
    """Return a value as JSON, with all control characters escaped, also DEL, which `json` does not escape."""
    return json.dumps(value).replace("\x7f", r"\u007f")


def releases(found: Iterable[ReleaseStatus]) -> str:
    """Return releases as a table for people; times are this machine's."""
    rows = [
        (each.id, _time(each.built), each.operator or "-", _size(each.size), "serves" if each.serving else "")
        for each in found
    ]
    heads = ("RELEASE", "BUILT", "BY", "SIZE", "")
    return _table(heads, *rows) if rows else as_typed("no release is here; try: invoke up")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def history(records: Iterable[Run]) -> str:
    """Return the records of runs as a table for people; times are this machine's."""
    heads = ("RUN", "STARTED", "SECONDS", "STATE", "EXIT", "RELEASE", "OPERATOR", "COMMAND", "REASON")
    rows = [*map(_record, records)]
    return _table(heads, *rows) if rows else as_typed("no run is recorded; try: invoke run -- COMMAND")


def _record(run: Run) -> tuple[str, ...]:
    seconds = "-" if run.seconds is None else f"{run.seconds:.1f}"
    code = "-" if run.exit_code is None else str(run.exit_code)
    command = printable(shlex.join(run.command))
    shown = command if len(command) <= WIDEST else f"{command[: WIDEST - 1]}…"
    return (
        run.id,
        _time(run.started),
        seconds,
        run.state,
        code,
        (run.release or "-") + (" (source mounted)" if run.source_mounted else ""),
        run.operator,
        shown,
        run.reason,
    )


TIMES = {"built", "finished", "started"}
"""What of a record is a moment; each engine notes it as it does."""

SOMETIMES = frozenset({"source_mounted", "purpose"})
"""Fields of a record that are shown only if they have a value."""


def json_array(records: Iterable[Run] | Iterable[ReleaseStatus]) -> str:
    """Return records as one JSON array, times in UTC to the millisecond, without what only some records have."""
    return to_json([_json_object(asdict(each)) for each in records])


def _json_object(values: dict[str, Any]) -> dict[str, Any]:
    times = {
        name: datetime.fromisoformat(values[name]).astimezone(UTC).isoformat(timespec="milliseconds")
        for name in TIMES & values.keys()
        if values[name]
    }
    return {name: value for name, value in (values | times).items() if value or name not in SOMETIMES}


def config(stack: Stack) -> str:
    """Return a stack as YAML for people, without what is not set."""
    import yaml

    text = str(yaml.safe_dump(_set(stack), sort_keys=False, allow_unicode=True))
    if text != printable(text, "\n"):  # as YAML escapes it, which can be read again
        text = str(yaml.safe_dump(_set(stack), sort_keys=False))
    return text.rstrip()


def config_json(stack: Stack) -> str:
    """Return a stack as one JSON object, without what is not set."""
    return to_json(_set(stack))


def _set(value: Any) -> Any:
    """Return a value of the model with the types of JSON; what is empty is left out, pairs become an object."""
    if is_dataclass(value):
        own = {each.name: getattr(value, each.name) for each in fields(value)}
        if own.get("content") is not None:  # it may be a secret
            own["content"] = f"{len(own['content'])} characters"
        return {name: _set(held) for name, held in own.items() if held not in (None, "", (), False)}
    if isinstance(value, tuple):
        return dict(value) if value and all(_is_pair(each) for each in value) else [_set(each) for each in value]
    return value if isinstance(value, str | int | float) else str(value)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == len(("name", "value"))
