"""Build an image with BuildKit, through `docker buildx` where the operator has it: the API alone does not speak it.

The context goes to its standard input, so that what is built is just what the release was named by.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import deque
from typing import TYPE_CHECKING, Any

from twelfth.engines.docker.errors import LENGTH
from twelfth.engines.docker.progress import LAST_LINES, WIDEST, failure
from twelfth.errors import EngineError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Mapping

    import docker

_STEP = re.compile(r"#(\d+) (\[(?:\S+ )?(\d+/\d+)\] .*)")
_PRINTED = re.compile(r"#(\d+) \d+\.\d+ (.*)")
_FAILED = re.compile(r"#(\d+) ERROR: .*?(?:exit code: (\d+))?")


def is_here(api: docker.APIClient) -> bool:
    """Return whether the docker command has buildx."""
    try:
        with _run(["docker", "buildx", "version"], api, None) as client:
            client.communicate()
            return client.returncode == 0
    except OSError:
        return False


def build(api: docker.APIClient, image: str, context: io.BytesIO, settings: Mapping[str, Any]) -> Iterator[str]:
    """Build an image from a context, and yield its steps; `settings` are those of the SDK's `build`.

    Raises `EngineError` for one that fails, when the last lines of the step that failed were yielded.
    """
    with tempfile.TemporaryFile() as packed:
        packed.write(context.getvalue())
        packed.seek(0)
        with _run(["docker", "buildx", "build", *arguments(image, settings), "-"], api, packed) as client:
            yield from lines(client.stdout or (), f"cannot build {image}")
            if client.wait():
                raise EngineError(f"cannot build {image}: docker buildx ended with {client.returncode}; try it by hand")


def _run(command: list[str], api: docker.APIClient, stdin: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"DOCKER_API_VERSION": api.api_version}  # the docker command may be too new for a daemon
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(  # noqa: S603 - what the Compose file says, without a shell
        command, stdin=stdin or subprocess.DEVNULL, env=environment, encoding="utf-8", errors="replace", **streams
    )


def arguments(image: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the options of `docker buildx build` that the settings of the SDK's `build` are."""
    one = {
        "file": "dockerfile",
        "network": "network_mode",
        "platform": "platform",
        "shm-size": "shmsize",
        "target": "target",
    }
    many = {
        "add-host": [f"{name}:{address}" for name, address in (settings.get("extra_hosts") or {}).items()],
        "build-arg": [f"{name}={value}" for name, value in settings["buildargs"].items()],
        "cache-from": settings.get("cache_from") or [],
        "label": [f"{name}={value}" for name, value in settings["labels"].items()],
    }
    flags = {"no-cache": settings.get("nocache"), "pull": settings.get("pull")}
    return [
        *("--load", "--progress=plain", "--provenance=false", f"--tag={image}"),
        *(f"--{option}={settings[name]}" for option, name in one.items() if settings.get(name)),
        *(f"--{option}={value}" for option, values in many.items() for value in values),
        *(f"--{option}" for option, value in flags.items() if value),
    ]


def lines(output: Iterable[str], failed: str) -> Iterator[str]:
    """Yield the steps of a build as plain progress tells them, each once.

    Where one fails, yield the last lines that it printed, then raise `EngineError`, which begins with `failed`.
    """
    steps: dict[str, str] = {}
    printed: dict[str, deque[str]] = {}
    broken, code = "", ""
    for line in map(str.rstrip, output):
        if found := _STEP.fullmatch(line):
            if found[1] not in steps:
                yield found[2][:WIDEST]
            steps[found[1]] = found[3]
        elif found := _PRINTED.fullmatch(line):
            printed.setdefault(found[1], deque(maxlen=LAST_LINES)).append(found[2][:LENGTH])
        elif found := _FAILED.fullmatch(line):
            broken, code = found[1], found[2] or ""
        elif line.startswith("ERROR: "):
            error = line.removeprefix("ERROR: ").removeprefix("failed to solve: ")
            last = [text for text in printed.get(broken, ()) if text.strip()]
            yield from last
            at = (steps[broken], code) if code and broken in steps else None
            raise failure(failed, last[-1] if last and code else error, at, error)
