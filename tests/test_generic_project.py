"""Bring up another project: completing services, anonymous volumes and fixed names, as with Compose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import eventually, require
from tests.other_project import OtherProject
from twelfth.engines.docker_api.container_spec import COMPOSE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


DOCKERFILE = """
ARG PYTHON_IMAGE
FROM $PYTHON_IMAGE
COPY page /srv/
WORKDIR /srv
CMD ["python", "-m", "http.server"]
"""
FILE = """
services:
  store:
    image: &python ${PYTHON_IMAGE:-python:3.13-slim}
    command: sh -c 'test -f /keep/number || date +%N >/keep/number; sleep 1; touch /tmp/healthy; exec sleep 600'
    init: true
    environment: {COLOUR: "${COLOUR:-red}"}
    volumes: [/keep]
    healthcheck: {test: test -f /tmp/healthy, interval: 1s, start_period: 10s}
  prepare:
    image: *python
    command: ${PREPARE:-sh -c 'echo prepared; exit 0'}
    depends_on: {store: {condition: service_healthy}}
  another:
    image: ${COMPOSE_PROJECT_NAME}-app
    command: sleep 600
    init: true
    deploy: &watched {update_config: {monitor: 300ms}}
  web:
    image: ${COMPOSE_PROJECT_NAME}-app
    build: {context: ., dockerfile: docker/Dockerfile, args: {PYTHON_IMAGE: "${PYTHON_IMAGE:-python:3.13-slim}"}}
    container_name: ${COMPOSE_PROJECT_NAME}-the-web
    command: ${COMMAND:-python -m http.server}
    init: true
    deploy: *watched
    ports: ["127.0.0.1:${PORT}:8000"]
    volumes: ["./:/code:ro"]
    secrets: [{source: password, mode: 0400}]
    configs: [{source: note, target: /etc/note}]
    x-release: [cat, /etc/note, /run/secrets/password]
    labels: {owner: ann}
    depends_on: {prepare: {condition: service_completed_successfully}}
secrets: {password: {file: ./password}}
configs: {note: {content: "of ${COMPOSE_PROJECT_NAME}, "}}
"""


class Stack(OtherProject):
    """The project, as its owner has it."""

    def __init__(self, directory: Path) -> None:
        """Write the files; nothing runs yet."""
        super().__init__(directory)
        (directory / "docker").mkdir()
        files = {"compose.yaml": FILE, "docker/Dockerfile": DOCKERFILE, "page": "one", "password": "hidden"}
        for name, text in files.items():
            (directory / name).write_text(text)

    def container(self, service: str) -> dict[str, Any]:
        """Return a service's only container, as the daemon reports it."""
        labels = [f"{COMPOSE}project={self.name}", f"{COMPOSE}service={service}", f"{COMPOSE}oneoff=False"]
        [found] = self.api.containers(all=True, filters={"label": labels})
        inspected: dict[str, Any] = self.api.inspect_container(found["Id"])
        return inspected

    def volumes(self) -> set[str]:
        """Return the names of the volumes that the containers have."""
        found = self.api.containers(all=True, filters={"label": f"{COMPOSE}project={self.name}"})
        return {mount["Name"] for each in found for mount in each["Mounts"] if mount["Type"] == "volume"}

    def run(self, service: str, *command: str) -> str:
        """Return what a command prints in a service's container."""
        task = self.api.exec_create(self.container(service)["Id"], list(command))["Id"]
        return str(self.api.exec_start(task).decode())


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return the stack, up."""
    require("docker")
    made = Stack(tmp_path_factory.mktemp("another"))
    try:
        made.printed("up")
        yield made
    finally:
        made.printed("down", "--volumes", "--history", "--yes")


def test_what_is_up_stays_as_it_is(stack: Stack) -> None:
    """A job that has ended well is as it should be, to `status`, too; and a second `up` has nothing to do."""
    found = json.loads(stack.printed("status", "--json"))

    assert (True, "done") == (found["ready"], {one["service"]: one["health"] for one in found["services"]}["prepare"])
    assert "nothing to do" in stack.printed("--dry", "up")


def test_job_starts_when_what_it_needs_is_healthy_and_others_when_it_has_ended(stack: Stack) -> None:
    """As the daemon's own times tell."""
    store, prepare, web = (stack.container(name)["State"] for name in ("store", "prepare", "web"))

    assert (True, True) == (store["StartedAt"] < prepare["StartedAt"], prepare["FinishedAt"] < web["StartedAt"])


@pytest.mark.thorough
def test_data_without_a_name_outlives_its_container(stack: Stack) -> None:
    """The new container takes the volume over."""
    before, number = stack.container("store")["Id"], stack.run("store", "cat", "/keep/number")
    stack.printed("up", COLOUR="blue")

    assert (False, number) == (before == stack.container("store")["Id"], stack.run("store", "cat", "/keep/number"))
    stack.printed("up")


def test_release_command_sees_the_files_that_its_service_will_see(stack: Stack) -> None:
    """Before there is any container that has them; a run of that container sees the same."""
    expected = f"of {stack.name}, hidden"
    first = next(record for record in json.loads(stack.printed("history", "--json")) if record["kind"] == "run")

    assert ["cat", "/etc/note", "/run/secrets/password"] == first["command"]
    assert expected == stack.printed("logs", "--run", first["id"])
    assert expected == stack.printed("run", "--", "cat", "/etc/note", "/run/secrets/password")


@pytest.mark.thorough
def test_files_of_a_run_that_goes_on_stay_as_they_were(stack: Stack) -> None:
    """Whatever is deployed meanwhile; and git ignores them, as all that twelfth keeps."""
    script = "until [ -e /tmp/go ]; do sleep 0.1; done; cat /etc/note"
    going = stack.printed("run", "--detach", "--", "sh", "-c", script).strip()
    file = stack.directory / "compose.yaml"
    file.write_text(FILE.replace("of ${COMPOSE_PROJECT_NAME}, ", "another, "))
    stack.printed("up")

    assert "another, " == stack.printed("run", "--", "cat", "/etc/note")
    stack.api.exec_start(stack.api.exec_create(f"{stack.name}-run-{going}", ["touch", "/tmp/go"])["Id"])
    assert eventually(lambda: f"of {stack.name}, " == stack.printed("logs", "--run", going))
    file.write_text(FILE)
    stack.printed("up")


@pytest.mark.thorough
def test_job_that_fails_is_told_and_what_serves_serves_on(stack: Stack) -> None:
    """With its last words; the next `up` tries it again."""
    before = stack.container("web")["Id"]
    done = stack.twelfth("up", PREPARE="sh -c 'echo no disk left; exit 3'")

    why = "prepare-1 exited (3) (no disk left); other services depend on it. Fix that, then repeat the command"
    assert (125, True) == (done.returncode, why in done.stderr), done.stderr
    assert before == stack.container("web")["Id"]
    stack.printed("up")


@pytest.mark.thorough
def test_fixed_name_goes_over_to_the_new_container_or_back(stack: Stack) -> None:
    """A release that does not start leaves the old container under its name."""
    name = f"/{stack.name}-the-web"
    before = stack.container("web")["Id"]
    done = stack.twelfth("up", COMMAND="python -c 'raise SystemExit(4)'")
    assert (125, before, name) == (done.returncode, *(stack.container("web")[key] for key in ("Id", "Name")))

    (stack.directory / "page").write_text("two")
    stack.printed("up")
    found = stack.container("web")
    assert "two" == stack.run("another", "cat", "page")  # which is of the image that is built for the web
    assert (name, "two", "ann") == (
        found["Name"],
        stack.run("web", "cat", "page"),
        found["Config"]["Labels"]["owner"],
    )


def test_run_is_the_twin_of_such_a_container(stack: Stack) -> None:
    """It sees the same directories and secrets, and differs in nothing."""
    script = "stat -c %a /run/secrets/password; cat /run/secrets/password /code/page"

    assert "web: source mounted: " in stack.twelfth("--dry", "up").stderr
    assert "web: source mounted: " in stack.twelfth("status").stderr
    chosen = json.loads(stack.printed("releases", "--json"))[0]["id"]
    assert "web: source mounted: " in stack.twelfth("--dry", "rollback", chosen).stderr
    assert stack.printed("run", "--", "sh", "-c", script).startswith("400\nhidden")
    assert ["- python -m http.server", "+ true"] == stack.printed("--dry", "run", "--", "true").splitlines()[2:]
    assert "* source mounted" in stack.printed("history")


@pytest.mark.thorough
def test_nothing_of_a_stack_that_is_down_is_left(stack: Stack) -> None:
    """Neither copies of its secrets nor volumes that had no name, of which one went over to another container."""
    stack.printed("up", COLOUR="blue")
    had = stack.volumes()
    stack.printed("down", "--volumes", "--history", "--yes")

    assert had
    assert not had & {each["Name"] for each in stack.api.volumes()["Volumes"] or []}
    assert not (stack.directory / ".twelfth" / "docker" / stack.name).exists()
