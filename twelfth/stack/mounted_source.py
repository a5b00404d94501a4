"""Find the bind mounts by which replicas run code that is not part of their release."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twelfth.build_context.copied import is_copied

if TYPE_CHECKING:
    from twelfth.model.service import Build, Mount, Service
    from twelfth.model.stack import Stack

PROGRAMS = frozenset(
    (
        *(".clj", ".cs", ".erl", ".ex", ".exs", ".go", ".java", ".kt", ".php", ".pl", ".py", ".rb", ".rs", ".scala"),
        *(".cjs", ".js", ".jsx", ".mjs", ".svelte", ".ts", ".tsx", ".vue"),
    )
)
"""Endings of the files of a directory with source code."""

DATA = frozenset(
    (
        *("assets", "dist", "media", "public", "static", "staticfiles", "uploads"),
        *("backups", "data", "log", "logs", "storage", "tmp"),
    )
)
"""Names of directories that are content, whatever they contain: `public` has scripts for browsers."""

MOST_FILES = 2000
"""The files of a directory that are looked at."""


def with_source(stack: Stack) -> Stack:
    """Return the stack with the mounts marked that replace a directory of programs by the one it was copied from."""
    return replace(stack, services=tuple(map(_with_source, stack.services)))


def _with_source(service: Service) -> Service:
    build = service.build
    if not build:
        return service
    return replace(
        service, mounts=tuple(replace(mount, is_source=_is_source(build, mount)) for mount in service.mounts)
    )


def _is_source(build: Build, mount: Mount) -> bool:
    if mount.kind != "bind" or not Path(mount.source).is_relative_to(build.context):
        return False
    path = Path(mount.source).relative_to(build.context)
    return (
        DATA.isdisjoint(path.parts)
        and is_copied(_dockerfile(build), path.as_posix(), mount.target, dict(build.args))
        and _has_programs(mount.source)
    )


def _dockerfile(build: Build) -> str:
    try:
        return build.inline or (build.context / build.dockerfile).read_text("utf-8", "replace")
    except OSError:  # `up` reports it
        return ""


def _has_programs(directory: str) -> bool:
    files = (Path(name) for _, _, names in os.walk(directory) for name in names)
    return any(path.suffix in PROGRAMS for path in itertools.islice(files, MOST_FILES))
