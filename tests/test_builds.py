"""What only BuildKit builds: heredocs and secrets, on a modern engine; the error of the classic builder."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import engine_at_hand, eventually, require, require_program
from tests.sample import MODERN
from twelfth.engines.docker.engine import Docker
from twelfth.engines.docker_api import buildkit
from twelfth.errors import EngineError
from twelfth.stack import load

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPOSE = """
services:
  app:
    build:
      context: .
      args: {BASE: "${PYTHON_IMAGE:-python:3.13-slim}"}
      secrets: [file, {source: variable, target: other}]
    command: sleep 600
secrets: {file: {file: ./token}, variable: {environment: TOKEN}}
"""
DOCKERFILE = """
ARG BASE
FROM ${BASE}
RUN --mount=type=secret,id=file --mount=type=secret,id=other <<EOF
cat /run/secrets/file /run/secrets/other | sha256sum > /digest
EOF
"""
CONTEXTS = """
services:
  app:
    build:
      context: .
      ssh: [default]
      additional_contexts: {lib: ./lib, other: "service:z"}
      dockerfile_inline: |
        FROM other
        COPY --from=lib text /text
        RUN --mount=type=ssh --mount=type=bind,target=/here python /here/fingerprint.py > /fingerprint
  z:
    build:
      context: ./lib
      dockerfile_inline: |
        FROM ${PYTHON_IMAGE:-python:3.13-slim}
        RUN echo of z > /of-z
"""
FINGERPRINT = """
import base64, hashlib, os, socket
agent = socket.socket(socket.AF_UNIX)
agent.connect(os.environ["SSH_AUTH_SOCK"])
agent.sendall(bytes([0, 0, 0, 1, 11]))
answer = agent.makefile("rb")
number = lambda: int.from_bytes(answer.read(4), "big")
size, kind, keys = number(), answer.read(1), number()
key = answer.read(number())
print("SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("="))
"""
"""Prints the fingerprint of the agent's first key, by its protocol: the image has no OpenSSH."""
DIGEST = hashlib.sha256(b"from a file, from a variable").hexdigest()


@pytest.fixture(params=["docker", MODERN])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Docker]:
    """Return an engine with a stack whose image needs BuildKit."""
    (tmp_path / "compose.yaml").write_text(COMPOSE, "utf-8")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE, "utf-8")
    (tmp_path / ".dockerignore").write_text("token\n", "utf-8")
    (tmp_path / "token").write_text("from a file, ", "utf-8")
    with engine_at_hand(request) as name:
        require(name)
        own = {"COMPOSE_PROJECT_NAME": f"t{secrets.token_hex(4)}", "TOKEN": "from a variable"}
        yield Docker(load.of_current_release(load.load_stack(tmp_path, {**os.environ, **own})))


@contextmanager
def removed(engine: Docker, image: str) -> Iterator[None]:
    """Remove an image at the end."""
    try:
        yield
    finally:
        engine.api.remove_image(image, force=True)


@pytest.mark.parametrize("engine", [MODERN], indirect=True)
def test_heredocs_and_secrets_are_built_and_secrets_are_not_in_the_image(engine: Docker) -> None:
    """A command of the build has read both; no file and no setting of the image contains them."""
    assert buildkit.is_available(engine.api)
    [service] = engine.stack.services
    engine.ensure_image(service, lambda _: None)
    with removed(engine, service.image):
        printed = run(engine, service.image, "cat /digest; ls -A /run/secrets; env")
        history = repr(engine.api.history(service.image)) + repr(engine.api.inspect_image(service.image))

    assert DIGEST in printed
    assert [] == [each for each in ("from a file", "from a variable", "TWELFTH") if each in printed + history]


def test_release_does_not_depend_on_a_secret(engine: Docker) -> None:
    """A new token builds nothing."""
    (engine.stack.directory / "token").write_text("another", "utf-8")
    own = {"COMPOSE_PROJECT_NAME": engine.stack.project, "TOKEN": "another"}
    changed = load.of_current_release(load.load_stack(engine.stack.directory, {**os.environ, **own}))

    assert engine.stack.release == changed.release


@pytest.mark.thorough
@pytest.mark.parametrize("engine", [MODERN], indirect=True)
def test_other_contexts_and_an_ssh_agent_are_used(engine: Docker, tmp_path: Path) -> None:
    """A directory, the image of another service, and the socket of an agent, which is not part of the release."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "text").write_text("of lib", "utf-8")
    (tmp_path / "fingerprint.py").write_text(FINGERPRINT, "utf-8")
    (tmp_path / "compose.yaml").write_text(CONTEXTS, "utf-8")
    own = {"COMPOSE_PROJECT_NAME": engine.stack.project}
    engine = Docker(load.of_current_release(load.load_stack(tmp_path, {**os.environ, **own})))
    z, app = engine.stack.services
    with ssh_agent() as listed, removed(engine, z.image), removed(engine, app.image):
        engine.ensure_image(z, lambda _: None)
        engine.ensure_image(app, lambda _: None)
        printed = run(engine, app.image, "cat /text /of-z /fingerprint")

    assert ("z", "app") == (z.name, app.name)
    assert f"of libof z\n{listed.split()[1]}\n" == printed


@contextmanager
def ssh_agent() -> Iterator[str]:
    """Run an agent with a new key, and yield its list of keys."""
    require_program("ssh-agent")
    with tempfile.TemporaryDirectory(prefix="twelfth-") as home:  # short, as an address has to be
        socket, key = f"{home}/socket", f"{home}/key"
        agent = subprocess.Popen(["/usr/bin/ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSH_AUTH_SOCK", socket)
            assert eventually(Path(socket).exists)
            subprocess.run(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
            subprocess.run(["/usr/bin/ssh-add", "-q", key], check=True)
            yield subprocess.run(["/usr/bin/ssh-add", "-l"], check=True, capture_output=True, text=True).stdout
        agent.terminate()
        agent.wait()


@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_secrets_without_buildkit_are_refused(engine: Docker) -> None:
    """The classic builder would ignore them, and build something else or fail without a reason."""
    if buildkit.is_available(engine.api):
        pytest.skip("the docker command has buildx")
    [service] = engine.stack.services
    with pytest.raises(EngineError, match=r"build\.secrets requires BuildKit; install docker buildx"):
        engine.ensure_image(service, lambda _: None)


def run(engine: Docker, image: str, command: str) -> str:
    """Return what a command prints in a container of an image."""
    container = engine.api.create_container(image, ["sh", "-c", command])["Id"]
    try:
        engine.api.start(container)
        engine.api.wait(container)
        return engine.api.logs(container).decode()
    finally:
        engine.api.remove_container(container, force=True)
