"""Convert the jobs of Compose's canonical model; a job's errors are kept with it, and raised when it is started.

Keys: https://github.com/compose-spec/compose-spec/blob/main/spec.md, and `x-twelfth` of a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twelfth.compose import service_keys, services
from twelfth.compose.notify import notify
from twelfth.compose.schema import Value, as_is, each, nested, number, only, service_name, unchecked
from twelfth.model.duration import LONGEST, parse_seconds
from twelfth.model.job import FORBID, ONE, QUEUE, SKIP, Changes, Job, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twelfth.compose.schema import Table

NOT_OF_CONTAINER = {"name", "triggers", "profiles", "depends_on", "x-twelfth"}
"""Keys of a job that say nothing about its container."""

OF_SERVICE_ONLY = {"ports", "healthcheck", "restart", "scale", "container_name", "pull_policy"}
"""Keys that Compose accepts in a job and that a one-off container does not have."""

OF_JOB = {"build", "command", "image"}
"""Keys of a job that are kept even if its service has the same values."""

DEFAULT_NETWORK = {"default": None}
"""The networks that Compose gives to a job or service that names none."""


def jobs(model: Mapping[str, Any]) -> tuple[Job, ...]:
    """Return the jobs of a model by name, in alphabetical order."""
    return tuple(_job(name, keys or {}, model) for name, keys in sorted((model.get("jobs") or {}).items()))


def _job(name: str, keys: dict[str, Any], model: Mapping[str, Any]) -> Job:
    refusals: list[str] = []
    at = Value(f"jobs.{name}", keys, model, refusals)
    start = {key: value for key, value in keys.items() if key in {"triggers", "x-twelfth"}}
    values = Value(at.path, start, model, refusals).read(_JOB)
    triggers, settings = values.get("triggers", {}), values.get("x-twelfth", {})
    settings.pop("service", "")
    service = service_of(keys, model)
    changes = _changes(at, service)
    dependencies = {key: (value or {}).get("condition", "") for key, value in (keys.get("depends_on") or {}).items()}
    others = model.get("jobs") or {}
    return Job(
        name,
        changes,
        service,
        is_manual=triggers.get("manual", True),
        schedules=triggers.get("schedule", ()),
        after=tuple(sorted(name for name in dependencies if name in others)),
        conditions=tuple(sorted(pair for pair in dependencies.items() if pair[0] not in others)),
        refusals=tuple(refusals),
        **settings,
    )


def _changes(at: Value, service: str) -> Changes:
    ignored = NOT_OF_CONTAINER | OF_SERVICE_ONLY
    keys = {key: value for key, value in at.value.items() if key not in ignored and value is not None}
    if service:
        keys = _differing(keys, at.model["services"][service] or {})
    container = service_keys.container(at.path.rpartition(".")[2], Value(at.path, keys, at.model, at.refusals))
    of_service = {"image", "build"} if service else set()
    return Changes(container, frozenset(keys.keys() - of_service))


def _differing(keys: dict[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from the service: the jobs of Compose inherit nothing, so files repeat the rest in them."""
    variables, inherited = keys.get("environment") or {}, service.get("environment") or {}
    environment = {name: value for name, value in variables.items() if value != inherited.get(name)}
    others = {key: value for key, value in keys.items() if key in OF_JOB or value != service.get(key)}
    others.pop("environment", None)
    if others.get("networks") == DEFAULT_NETWORK:
        del others["networks"]
    return others | ({"environment": environment} if environment else {})


def service_of(keys: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Return the service that a job is made from, "" for a job with a separate image."""
    settings = keys.get("x-twelfth")
    named = str(settings.get("service", "")) if isinstance(settings, dict) else ""
    return named if named in (model.get("services") or {}) else _service_of(keys, model)


def _service_of(keys: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Return the service with the image or build of a job; of several, the one that runs are made from."""
    declared = {name: value or {} for name, value in (model.get("services") or {}).items()}
    preferred = (model.get("x-twelfth") or {}).get("runs-from")
    names = sorted(declared, key=lambda name: name != preferred)
    for key in ("build", "image"):
        if key in keys:
            return next((name for name in names if declared[name].get(key) == keys[key]), "")
    return services.names(model).run_service


def _schedule(at: Value) -> Schedule:
    return Schedule(at.value) if isinstance(at.value, str) else Schedule(**{"cron": "", **at.read(_SCHEDULE)})


def _seconds(at: Value) -> float | None:
    seconds = parse_seconds(str(at.value))
    if not seconds or seconds >= LONGEST:
        at.refuse("", f"is {at.value}", "write a duration such as 30, 90s, 5m or 1h30m")
    return seconds


def _required(at: Value) -> bool:
    only("required")(at)
    return True


def _boolean(at: Value) -> bool:
    if not isinstance(at.value, bool):
        at.refuse("", f"is {at.value}", "write true or false")
    return bool(at.value)


def _text(at: Value) -> str:
    if not isinstance(at.value, str):
        at.refuse("", "must be text", "quote it")
    return str(at.value)


_SCHEDULE: Table = {
    "cron": _text,
    "timezone": _text,
    "concurrency": only(FORBID, QUEUE),
    "missed_fires": only(ONE, SKIP),
}
_TRIGGERS: Table = {"manual": as_is, "schedule": each(_schedule)}
_SETTINGS: Table = {
    "help": _text,
    "service": service_name,
    "timeout": _seconds,
    "reason": _required,
    "concurrency": only(FORBID, QUEUE),
    "tty": _boolean,
    "confirm": _text,
    "notify": notify,
    "keep": number,
}
_RENAMED = {"reason": "needs_reason"}


def _settings(at: Value) -> object:
    values: Any = unchecked(_SETTINGS, "{timeout: 5m}")(at)
    return {_RENAMED.get(key, key): value for key, value in values.items()}


_JOB: Table = {"triggers": nested(_TRIGGERS), "x-twelfth": _settings}
