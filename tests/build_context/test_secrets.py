"""Build arguments reach the build, and appear in no command line, which every user of the machine can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from pathlib import Path

import pytest

from tests.sample import MODERN
from twelfth.engines import choice
from twelfth.engines.docker_api.daemon import DaemonEngine
from twelfth.stack import load

COMPOSE = """
services:
  app: {image: "NAME", build: {context: ., args: [BASE, TOKEN, "EMPTY=", "DOCKER_HOST=elsewhere"]}}
"""
DOCKERFILE = """
ARG BASE
FROM ${BASE}
ARG TOKEN
ARG EMPTY=default
ARG DOCKER_HOST
RUN sleep 1; test "$TOKEN/$EMPTY/$DOCKER_HOST" = "WANTED//elsewhere"
"""


def command_lines() -> str:
    """Return those of all processes except this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(found)


@pytest.mark.parametrize("engine_name", ["docker", MODERN], indirect=True)
def test_no_command_line_has_a_build_argument(engine_name: str, tmp_path: Path) -> None:
    """With BuildKit and without."""
    token, name = secrets.token_hex(16), f"t{secrets.token_hex(4)}"
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("NAME", name))
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.strip().replace("WANTED", f"$(printf {token[:9]}%s {token[9:]})"))
    environment = {"BASE": os.environ["PYTHON_IMAGE"], "TOKEN": token}
    engine = choice.choose(
        engine_name, load.of_current_release(load.load_stack(tmp_path, dict(os.environ) | environment))
    )
    assert isinstance(engine, DaemonEngine)
    (service,) = engine.stack.services
    failures: list[BaseException] = []

    def build() -> None:
        try:
            engine.ensure_image(service, lambda _: None)
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            failures.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    seen = 0
    while thread.is_alive():
        found = command_lines()
        assert token not in found
        seen += 1
        thread.join(0.05)
    assert [] == failures
    assert seen > 10
    engine.api.remove_image(service.image)
