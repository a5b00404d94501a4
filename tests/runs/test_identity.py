"""A run is made from what serves: release, environment, backing services, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stack import oneoff, smoke
from tests.runs.client import lifecycle_url, record, records, run

if TYPE_CHECKING:
    from tests.conftest import Project


def test_run_has_the_release_and_configuration_of_the_worker(serving: Project) -> None:
    """Factor XII: same image, same environment, same place, another process."""
    worker = oneoff.source(serving.engine())
    environment = {
        name.removeprefix("environment."): value
        for name, value in worker.recipe.items()
        if name.startswith("environment.")
    }
    done = run(serving, "--", "python", "-c", "import json, os; print(json.dumps(dict(os.environ)))")

    seen = json.loads(done.stdout)
    assert environment == {name: seen.get(name) for name in environment}
    assert (worker.release, worker.image) == (record(serving)["release"], record(serving)["image"])


def test_reset_resets_what_the_worker_counts(serving: Project) -> None:
    """The chapter's own story."""
    url = lifecycle_url(serving)
    smoke.sentence(url)

    assert serving.invoke("reset").stdout.endswith("is 0 now\n")
    assert "Hello World! 1 times." == smoke.sentence(url)


def test_chapters_own_script_on_standard_input_works(serving: Project) -> None:
    """Its lines with HOST_REDIS and PORT_REDIS, fed to a run."""
    url = lifecycle_url(serving)
    smoke.sentence(url)
    script = b"import os, redis\nr = redis.Redis(host=os.environ['HOST_REDIS'], port=int(os.environ['PORT_REDIS']))\n"

    assert 0 == run(serving, "--", "python", stdin=script + b"r.set('hits', 0)\n").returncode
    assert "Hello World! 1 times." == smoke.sentence(url)


def test_console_works_without_a_terminal(serving: Project) -> None:
    """A program on standard input has the counter at hand."""
    serving.invoke("reset", "--to", "41")

    assert "41\n" == serving.invoke("console", stdin="print(counter.value())").stdout


def test_dry_run_shows_the_command_and_does_nothing(serving: Project) -> None:
    """No record is made, and the value of an override is not shown."""
    before = records(serving)
    done = serving.invoke("--dry", "run", "--env", "A=hush", "--", "echo", "x y")

    assert 0 == done.returncode
    assert "echo 'x y'" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert before == records(serving)


def test_program_is_a_command_by_being_there(project: Project) -> None:
    """A new admin/NAME.py is listed with its docstring and runs from the next release on."""
    program = '"""Say what it was given."""\nimport sys\nprint(sys.argv[1:])\nsys.exit(6)\n'
    (project.directory / "admin" / "say_it.py").write_text(program, "utf-8")
    project.up()

    assert "Say what it was given." in project.invoke("--list").stdout
    done = project.invoke("say-it", "--", "a b", "--c")
    assert (6, "['a b', '--c']\n") == (done.returncode, done.stdout)


def test_holder_that_a_killed_client_left_unstarted_serves_the_next_run(project: Project) -> None:
    """It is found by its name; there is one a stack, however many clients come first."""
    if project.engine_name != "docker":
        pytest.skip("only containers have a namespace to hold")
    import docker

    from stack.engines import holder

    project.up()
    api = docker.APIClient(version="auto")
    worker = api.inspect_container(oneoff.source(project.engine()).id)
    name = f"{project.name}-holder-{holder._token(holder._ids(worker))}"  # noqa: SLF001 - what a dead client left
    api.create_container_from_config(holder.body(worker), name)
    done = run(project, "--", "true")
    found = api.containers(all=True, filters={"label": [holder.HOLDER, f"com.docker.compose.project={project.name}"]})
    api.close()

    assert 0 == done.returncode
    assert [("running", [f"/{name}"])] == [(each["State"], each["Names"]) for each in found]
