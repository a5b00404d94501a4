"""Name a release by the digest of what its image is built from."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from twelfth.build_context import dockerfile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twelfth.model.contents import Contents
    from twelfth.model.service import Build

DIGITS = 12
"""Length of a release's name in hexadecimal digits, as Docker shortens its own ids."""


def is_release(name: str) -> bool:
    """Return whether a text is the name of a release."""
    return len(name) == DIGITS and not set(name) - set("0123456789abcdef")


def digest(contents: Contents, build: Build) -> str:
    """Return the name of the release: 12 hexadecimal digits of what its image is built from."""
    total = hashlib.sha256(json.dumps([build.args, requested_options(build), contents.digest]).encode())
    total.update(contents.dockerfile)
    return total.hexdigest()[:DIGITS]


def combined(digests: Iterable[str]) -> str:
    """Return the name of a release from the digests of its images; with one image, its digest."""
    distinct = tuple(dict.fromkeys(digests))
    return distinct[0] if len(distinct) == 1 else hashlib.sha256(" ".join(distinct).encode()).hexdigest()[:DIGITS]


def requested_options(build: Build) -> dict[str, str]:
    """Return the build settings that change the image, as opposed to how it is built."""
    path = dockerfile(build)
    settings = {"target": build.target, "dockerfile": path if path != "Dockerfile" else ""}
    settings |= {
        name: value for name, value in build.options if name in {"labels", "platforms", "network", "extra_hosts"}
    }
    others = [context for context in build.additional_contexts if context not in build.directories]
    settings["additional_contexts"] = json.dumps(others) if others else ""
    return {name: value for name, value in settings.items() if value}
