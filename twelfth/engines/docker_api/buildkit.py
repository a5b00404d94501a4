"""Build an image with BuildKit, through the operator's `docker buildx`: the Engine API alone does not support it.

buildx reads the context from a directory with exactly the files of the release.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twelfth.build_context.unpack import unpack
from twelfth.engines.disk_errors import disk_errors
from twelfth.engines.docker_api.errors import LENGTH
from twelfth.engines.docker_api.progress import LAST_LINES, WIDEST, failure
from twelfth.engines.temporary_directory import temporary_directory
from twelfth.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import docker

    from twelfth.model.contents import Contents
    from twelfth.model.service import Build, BuildSecret, Pairs

DOCKERFILE = "Dockerfile"

READ_BY_DOCKER = frozenset(
    """BUILDX_BUILDER BUILDX_CONFIG DOCKER_API_VERSION DOCKER_BUILDKIT DOCKER_CERT_PATH DOCKER_CONFIG
    DOCKER_CONTENT_TRUST DOCKER_CONTEXT DOCKER_DEFAULT_PLATFORM DOCKER_HOST DOCKER_TLS DOCKER_TLS_VERIFY HOME
    LD_LIBRARY_PATH LD_PRELOAD PATH SSH_AUTH_SOCK SSL_CERT_DIR SSL_CERT_FILE TMPDIR XDG_CONFIG_HOME
    XDG_RUNTIME_DIR""".split()  # noqa: SIM905 - a list with quotes is harder to read
)
"""Variables that the docker command needs: addresses and paths, no secrets."""

_STEP = re.compile(r"#(\d+) (\[(?:\S+ )?(\d+/\d+)\] .*)")
_PRINTED = re.compile(r"#(\d+) \d+\.\d+ (.*)")
_FAILED = re.compile(r"#(\d+) ERROR: .*?(?:exit code: (\d+))?")


def is_available(api: docker.APIClient) -> bool:
    """Return whether the docker command has buildx."""
    try:
        with _run(["docker", "buildx", "version"], api, {}) as client:
            client.communicate()
            return client.returncode == 0
    except OSError:
        return False


def build(
    api: docker.APIClient,
    image: str,
    contents: Contents,
    settings: Mapping[str, Any],
    spec: Build,
) -> Iterator[str]:
    """Build an image from a context, and yield its steps; `settings` are arguments of the SDK's `build`.

    If a step fails, yields the last lines of its output, then raises `EngineError`.
    """
    failed = f"cannot build {image}"
    with temporary_directory() as directory:
        with disk_errors(directory):
            _unpack(contents, directory)
        options = [
            *arguments(image, {**settings, "dockerfile": directory / DOCKERFILE}),
            *secret_options(spec.secrets),
            *(f"--ssh={agent}" for agent in spec.ssh),
            *context_options(spec.additional_contexts, directory),
        ]
        command = ["docker", "buildx", "build", *options, str(directory / "context")]
        with _run(command, api, build_arguments(settings) | secret_variables(spec.secrets)) as client:
            yield from lines(client.stdout or (), failed)
            if client.wait():
                raise EngineError(f"{failed}: docker buildx exited with {client.returncode}. Try: docker buildx ls")


def _unpack(contents: Contents, directory: Path) -> None:
    """Unpack all contexts and, next to them, the Dockerfile with a `.dockerignore` that excludes nothing."""
    places = {directory / "context": contents.tar}
    places |= {_place(directory, name): archive for name, archive in contents.additional.items()}
    for place, archive in places.items():
        place.mkdir()
        unpack(archive, place)
    (directory / DOCKERFILE).write_bytes(contents.dockerfile)
    (directory / f"{DOCKERFILE}.dockerignore").write_text("# the context contains only admitted files\n", "utf-8")


def _run(command: list[str], api: docker.APIClient, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    version = {"DOCKER_API_VERSION": api.api_version}  # a new docker command may not talk to an old daemon
    return subprocess.Popen(  # noqa: S603 - without a shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | environment | version,
        encoding="utf-8",
        errors="replace",
    )


def build_arguments(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the build arguments as variables, since every user of a machine can read its command lines."""
    return {name: value for name, value in settings["buildargs"].items() if name not in READ_BY_DOCKER}


def secret_variables(secrets: Sequence[BuildSecret]) -> dict[str, str]:
    """Return the secrets without a file as variables, since every user of a machine can read its command lines."""
    contents = ((_variable(index), secret.content) for index, secret in enumerate(secrets))
    return {variable: content for variable, content in contents if content is not None}


def secret_options(secrets: Sequence[BuildSecret]) -> list[str]:
    """Return the options that make BuildKit read each secret from its file or its variable."""
    return [
        f"--secret=id={secret.id},{f'src={secret.source}' if secret.content is None else f'env={_variable(index)}'}"
        for index, secret in enumerate(secrets)
    ]


def context_options(contexts: Pairs, directory: Path) -> list[str]:
    """Return the options that name additional contexts; those that are directories are unpacked below `directory`."""
    return [
        f"--build-context={name}={_place(directory, name) if context.startswith('/') else context}"
        for name, context in contexts
    ]


def _place(directory: Path, name: str) -> Path:
    return directory / f"context-{quote(name, safe='')}"


def _variable(index: int) -> str:
    return f"TWELFTH_BUILD_SECRET_{index}"


def arguments(image: str, settings: Mapping[str, Any]) -> list[str]:
    """Convert arguments of the SDK's `build` to options of `docker buildx build`."""
    build_args, environment = settings["buildargs"], build_arguments(settings)
    single = {
        "file": "dockerfile",
        "network": "network_mode",
        "platform": "platform",
        "shm-size": "shmsize",
        "target": "target",
    }
    multiple = {
        "add-host": [f"{name}:{address}" for name, address in (settings.get("extra_hosts") or {}).items()],
        "build-arg": [name if name in environment else f"{name}={value}" for name, value in build_args.items()],
        "cache-from": settings.get("cache_from") or [],
        "label": [f"{name}={value}" for name, value in settings["labels"].items()],
    }
    flags = {"no-cache": settings.get("nocache"), "pull": settings.get("pull")}
    return [
        *("--load", "--progress=plain", "--provenance=false", f"--tag={image}"),
        *(f"--{option}={settings[name]}" for option, name in single.items() if settings.get(name)),
        *(f"--{option}={value}" for option, values in multiple.items() for value in values),
        *(f"--{option}" for option, value in flags.items() if value),
    ]


def lines(output: Iterable[str], failed: str) -> Iterator[str]:
    """Yield the steps of a build from the output of `--progress=plain`, each once.

    If a step fails, yield the last lines of its output, then raise `EngineError`, which starts with `failed`.
    """
    steps: dict[str, str] = {}
    printed: dict[str, deque[str]] = {}
    failed_step, code = "", ""
    for line in map(str.rstrip, output):
        if match := _STEP.fullmatch(line):
            if match[1] not in steps:
                yield match[2][:WIDEST]
            steps[match[1]] = match[3]
        elif match := _PRINTED.fullmatch(line):
            printed.setdefault(match[1], deque(maxlen=LAST_LINES)).append(match[2][:LENGTH])
        elif match := _FAILED.fullmatch(line):
            failed_step, code = match[1], match[2] or ""
        elif line.startswith("ERROR: "):
            error = line.removeprefix("ERROR: ").removeprefix("failed to solve: ")
            last = [text for text in printed.get(failed_step, ()) if text.strip()]
            yield from last
            step = (steps[failed_step], code) if code and failed_step in steps else None
            raise failure(failed, last[-1] if last and code else error, step, error)
