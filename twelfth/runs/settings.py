"""Settings that are typed for one run: its user, working directory and volumes.

They are requested differences, like those that a job declares, and take precedence over them.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from twelfth.errors import MisuseError
from twelfth.model.job import Changes
from twelfth.model.service import Mount, Service, as_options
from twelfth.runs.request import as_utf8

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twelfth.engines.contract import Engine
    from twelfth.model.run import RunRequest
    from twelfth.model.stack import Stack

OPTIONS = {"user": "--user", "volumes": "--volume", "working_dir": "--workdir"}
"""The options, by the Compose keys of what they set."""

VOLUME = re.compile("([^:]+):(/[^:]*)(?::(ro|rw))?")


def typed_changes(user: str, workdir: str, volumes: Sequence[str], stack: Stack, directory: Path) -> Changes:
    """Return the settings of these options; relative paths of volumes are in `directory`.

    Raises `MisuseError` for an invalid value.
    """
    if workdir and not workdir.startswith("/"):
        raise MisuseError(f"--workdir {workdir}: write an absolute path. For example: --workdir /app")
    values = {"user": as_utf8(user), "volumes": volumes, "working_dir": as_utf8(workdir)}
    container = Service(
        "run",
        "",
        user=as_utf8(user) or None,
        mounts=tuple(_mount(as_utf8(text), stack, directory) for text in volumes),
        options=as_options({"working_dir": as_utf8(workdir)} if workdir else {}),
    )
    return Changes(container, frozenset(key for key, value in values.items() if value))


def _mount(text: str, stack: Stack, directory: Path) -> Mount:
    match = VOLUME.fullmatch(text)
    if not match:
        why = "write SOURCE:DESTINATION or SOURCE:DESTINATION:ro, with an absolute destination"
        raise MisuseError(f"--volume {text}: {why}. For example: --volume ./out:/out")
    source, target, mode = match.groups()
    target, is_read_only = os.path.normpath(target), mode == "ro"
    if source.startswith((".", "/", "~")):
        path = os.path.normpath(directory / os.path.expanduser(source))  # noqa: PTH111 - keeps an unknown ~user
        return Mount("bind", target, path, is_read_only)
    names = [volume.name for volume in stack.volumes]
    if source not in names:
        others = f"; there are {', '.join(names)}" if names else ""
        why = f"no service has a volume {source}{others}"
        raise MisuseError(f"--volume {text}: {why}. For a directory, write ./{source}")
    return Mount("volume", target, source, is_read_only)


def merged(declared: Changes | None, typed: Changes) -> Changes | None:
    """Return what a job declares with what is typed; a typed volume replaces the one at its target."""
    if not (declared and typed.keys):
        return typed if typed.keys else declared
    container, targets = declared.container, {mount.target for mount in typed.container.mounts}
    others = (mount for mount in container.mounts if mount.target not in targets)
    changed = replace(
        container,
        user=typed.container.user or container.user,
        mounts=(*others, *typed.container.mounts),
        options=tuple(sorted((dict(container.options) | dict(typed.container.options)).items())),
    )
    return Changes(changed, declared.keys | typed.keys)


def refuse_ignored(engine: Engine, request: RunRequest, typed: Changes) -> None:
    """Raise `MisuseError` if the engine cannot apply a typed setting."""
    ignored = typed.keys.intersection(engine.runs.ignored(request)) if typed.keys else ()
    if names := ", ".join(OPTIONS[key] for key in sorted(ignored)):
        why = "a run there is a process of your user, in a directory of its release"
        raise MisuseError(f"cannot apply {names} on {engine.name}: {why}. Omit {names}")
