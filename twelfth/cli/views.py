"""Show a stack's status, releases and the record of runs: as tables, and as JSON with everything."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twelfth.hints import as_typed
from twelfth.model.run import RUN, SCHEDULE
from twelfth.stack.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from twelfth.cli.ps import Process
    from twelfth.model.record import Delivery, Record
    from twelfth.model.stack import Stack
    from twelfth.stack.release_choice import ReleaseStatus
    from twelfth.stack.status import ServiceStatus, Status

NARROWEST = 8
"""The least width of a cell when a table is cut to fit a terminal."""

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
"""Seconds of each unit of an age."""

MANY_SECONDS = 100
"""From here on a duration is shown in larger units."""


def table_of(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], cut: Collection[str], width: int | None) -> str:
    """Cut the columns that may be cut, the widest first, until the table fits; leave out columns without any value."""
    columns = zip(heads, *rows, strict=True)
    texts = {head: [head, *map(printable, values)] for head, *values in columns if any(values)}
    widths = {head: max(map(len, values)) for head, values in texts.items()}
    while width is not None and sum(widths.values()) + 2 * (len(widths) - 1) > width:
        head = max((name for name in cut if name in widths), key=widths.__getitem__, default="")
        if widths.get(head, 0) <= NARROWEST:
            break
        widths[head] -= 1
    cells = [[_shortened(text, widths[head]).ljust(widths[head]) for text in texts[head]] for head in texts]
    return "\n".join("  ".join(line).rstrip() for line in zip(*cells, strict=True))


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def age(moment: str, now: datetime) -> str:
    """Return the time since a moment in its largest unit, such as `2 h`."""
    return _in_largest_unit(max(0.0, (now - datetime.fromisoformat(moment).astimezone()).total_seconds()))


def _in_largest_unit(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), UNITS[-1])
    return f"{seconds // size:.0f} {unit}"


def status(status: Status, now: datetime, refusal: str = "") -> str:
    """Return a stack's status for people: whether it is ready, then one line for each service.

    `refusal` is why `up` would be refused.
    """
    from twelfth.stack.status import located

    if not status.services:
        rest = f": {printable(refusal)}" if refusal else ". Try: invoke up"
        rest = f" yet; in progress: {printable(status.deploy)}" if status.deploy else rest
        return as_typed(f"{status.project} is not running on {status.engine}{rest}")
    address = f" at {located(status.address, status.machine)}" if status.address else ""
    readiness = "is ready" if status.ready else f"is not ready: {status.why or 'nothing is running'}"
    width = max(len(service.service) for service in status.services)
    services = (f"  {service.service.ljust(width)}  {_service(service, status, now)}" for service in status.services)
    lines = [as_typed(f"{status.project} on {status.engine}{address} {readiness}"), *services, *_reports(status)]
    if status.scheduler:
        lines.append(f"scheduler: {status.scheduler}")
    if status.deploy:
        lines.append(f"in progress: {status.deploy}")
    return "\n".join(map(printable, lines))


def _service(service: ServiceStatus, status: Status, now: datetime) -> str:
    parts = [f"{service.ready}/{service.wanted} {service.state}"]
    if service.health not in {"", "ready"}:
        parts.append(service.health)
    if service.restarts:
        parts.append(f"{service.restarts} restart{'s' * (service.restarts > 1)}")
    if service.release:
        parts.append(f"release {service.release}")
    deploy = status.deployed
    if deploy and deploy.release == service.release:
        parts.append(f"deployed {age(deploy.at, now)} ago by {deploy.operator}")
    return ", ".join(parts)


def _reports(status: Status) -> list[str]:
    """Leave out flags and empty values, and `error`, which is the reason that is already shown."""
    reports = {name: value for name, value in status.details.items() if isinstance(value, str) and value}
    values = [f"{name} {value}" for name, value in reports.items() if name != "error"]
    return [f"healthchecks report: {', '.join(values)}"] if values else []


def status_json(status: Status) -> str:
    """Return a stack's status as one JSON object, together with the JSON that its healthchecks print."""
    values = asdict(status) | {"why": as_typed(status.why), "warnings": [*map(as_typed, status.warnings)]}
    return to_json(values.pop("details") | values)


def to_json(value: object) -> str:
    """Return a value as JSON, with all control characters escaped, also DEL, which `json` does not escape."""
    return json.dumps(value).replace("\x7f", r"\u007f")


def releases(releases: Iterable[ReleaseStatus], now: datetime, width: int | None = None) -> str:
    """Return releases as a table for people, cut to fit a terminal of that width."""
    releases = tuple(releases)
    are_pulled = any(release.references for release in releases)
    rows = [
        (
            release.id,
            *([", ".join(release.references)] if are_pulled else []),
            f"{age(release.built, now)} ago",
            release.operator or "-",
            _size(release.size),
            f"{age(release.deployed, now)} ago" if release.deployed else "-",
            _release_state(release, now),
        )
        for release in releases
    ]
    heads = ("RELEASE", *(("IMAGE", "PULLED") if are_pulled else ("BUILT",)), "BY", "SIZE", "DEPLOYED", "STATE")
    return table_of(heads, rows, ("BY",), width) if rows else as_typed("there is no release. Try: invoke up")


def processes(processes: Collection[Process], width: int | None = None) -> str:
    """Return replicas and runs as a table for people, cut to fit a terminal of that width."""
    if not processes:
        return as_typed("nothing is running. Try: invoke up")
    rows = [
        (process.name, process.state, process.health, process.release, _command(process.command))
        for process in processes
    ]
    return table_of(("NAME", "STATE", "HEALTH", "RELEASE", "COMMAND"), rows, ("COMMAND", "RELEASE"), width)


def _release_state(release: ReleaseStatus, now: datetime) -> str:
    states = (
        "running" if release.serving else "",
        "rollback goes here" if release.is_previous else "",
        f"failed {age(release.failed, now)} ago" if release.failed > release.deployed else "",
    )
    return ", ".join(filter(None, states))


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def history(records: Collection[Record], now: datetime, width: int | None = None) -> str:
    """Return the records of runs and changes as a table for people, cut to fit a terminal of that width."""
    if not records:
        return as_typed("nothing is recorded. Try: invoke run -- COMMAND")
    heads = ("ID", "AGE", "TOOK", "STATE", "RELEASE", "BY", "COMMAND", "REASON")
    table = table_of(heads, [_record(record, now) for record in records], ("BY", "COMMAND", "REASON"), width)
    mounted = any(record.source_mounted for record in records)
    return f"{table}\n* source mounted: the code was in a directory of this machine" if mounted else table


def _record(record: Record, now: datetime) -> tuple[str, ...]:
    return (
        record.id,
        age(record.started, now),
        "-" if record.seconds is None else duration(record.seconds),
        f"{record.state} {record.exit_code}" if record.exit_code else record.state,
        (record.release or record.release_before or "-") + "*" * record.source_mounted,
        record.trigger if record.trigger == SCHEDULE else record.operator,
        _named_action(record),
        record.reason or as_typed(record.error),
    )


def _named_action(record: Record) -> str:
    """Return the action after the name of its job, unless the action begins with that."""
    text = action(record)
    return f"{record.job}: {text}" if record.job and text.split(" ")[0] != record.job else text


def action(record: Record) -> str:
    """Return a run's command, or a change as it was typed, and the release before if it is another one."""
    if record.kind == RUN:
        return _command(record.command)
    is_other = record.release and record.release_before not in {"", record.release}
    previous = f"(before: {record.release_before})" if is_other else ""
    return " ".join(filter(None, (record.kind, record.what, previous)))


def record(record: Record, now: datetime) -> str:
    """Return all of a record for people: one line for each value, and if there still is output."""
    values = record_values(record)
    values["started"] += f" ({age(record.started, now)} ago)"
    width = max(map(len, values))
    return "\n".join(f"{name.ljust(width)}  {printable(value)}" for name, value in values.items())


def record_values(record: Record) -> dict[str, str]:
    """Return the values of a record for people, by name, without empty ones."""
    values = asdict(record) | {"command": shlex.join(record.command), "overrides": ", ".join(record.overrides)}
    for name in ("discards_output", "has_output", "notify"):
        del values[name]
    values["error"] = as_typed(record.error)
    values["notified"] = _notified(record.notified) if record.is_reported else None
    if record.is_run:
        gone = "not kept" if record.discards_output else "no longer kept"
        values["output"] = as_typed(f"invoke logs --run {record.id}") if record.has_output else gone
    return {name.replace("_", " "): str(value) for name, value in values.items() if value not in ("", None, False)}


def _notified(delivery: Delivery | None) -> str:
    if delivery is None:
        return "pending"
    attempts = f"{delivery.attempts} attempt{'s' * (delivery.attempts > 1)}"
    if delivery.delivered:
        return f"{delivery.delivered} ({attempts})"
    return f"pending ({attempts}, next at {delivery.next})" if delivery.next else f"not delivered ({attempts})"


def duration(seconds: float) -> str:
    """Return seconds for people: `0.4 s`, `5 min`."""
    return f"{seconds:.1f} s" if seconds < MANY_SECONDS else _in_largest_unit(seconds)


def _command(words: tuple[str, ...]) -> str:
    """Return a command as it was typed: a program of `admin/` by its name."""
    match words:
        case ("python", "-m", module, *arguments) if module.startswith("admin."):
            words = (module.removeprefix("admin."), *arguments)
    return shlex.join(words)


TIMES = {"built", "finished", "started"}
"""Fields of a record that are times; their notation depends on the engine."""

SOMETIMES = frozenset({"discards_output", "job", "notified", "notify", "purpose", "source_mounted"})
"""Fields of a record that are shown only if they have a value."""


def record_json(record: Record) -> str:
    """Return a record as one JSON object, with times in UTC to the millisecond."""
    return to_json(json_values(record))


def json_array(records: Iterable[Record] | Iterable[ReleaseStatus]) -> str:
    """Return records as one JSON array, with times in UTC to the millisecond."""
    return to_json([*map(json_values, records)])


def json_values(record: Record | ReleaseStatus) -> dict[str, Any]:
    """Return the values of a record as JSON has them, with times in UTC to the millisecond."""
    values = asdict(record)
    times = {
        name: datetime.fromisoformat(values[name]).astimezone(UTC).isoformat(timespec="milliseconds")
        for name in TIMES & values.keys()
        if values[name]
    }
    return {name: value for name, value in (values | times).items() if value or name not in SOMETIMES}


def config(stack: Stack) -> str:
    """Return a stack as YAML for people, without empty values."""
    import yaml

    text = str(yaml.safe_dump(_as_json_types(stack), sort_keys=False, allow_unicode=True))
    if text != printable(text, "\n"):  # as YAML escapes it, which can be read again
        text = str(yaml.safe_dump(_as_json_types(stack), sort_keys=False))
    return text.rstrip()


def config_json(stack: Stack) -> str:
    """Return a stack as one JSON object, without empty values."""
    return to_json(_as_json_types(stack))


def _as_json_types(value: Any) -> Any:
    """Leave out empty fields; make pairs an object."""
    if is_dataclass(value):
        values = {field.name: getattr(value, field.name) for field in fields(value)}
        if values.get("content") is not None:  # it may be a secret
            values["content"] = f"{len(values['content'])} characters"
        return {name: _as_json_types(item) for name, item in values.items() if item not in (None, "", (), False)}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return dict(value) if value and all(map(_is_pair, value)) else [*map(_as_json_types, value)]
    return value if isinstance(value, str | int | float) else str(value)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == len(("name", "value"))
