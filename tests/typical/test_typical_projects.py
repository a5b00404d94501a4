"""Set-ups that many public projects have, deployed under load: a bad release costs their clients no request."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import eventually, require
from tests.other_project import POSTGRES, OtherProject, build_postgres
from tests.typical.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECTS = Path(__file__).parents[1] / "projects"

IMPORT_ERROR = "\nimport missing_module\n"
CRASH = "\nimport os, threading\nthreading.Timer(3, os._exit, [3]).start()\n"
"""A process that exits when it has been ready for a moment; gunicorn exits with a worker that has this code."""

MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.RunSQL("SELECT missing")]
"""

CHANGES = {
    "flask": {
        "import error": ("app/__init__.py", IMPORT_ERROR),
        "never ready": ("app/__init__.py", '\napp.view_functions["health"] = lambda: ("no", 500)\n'),
        "crash after ready": ("app/__init__.py", CRASH),
        "good": ("app/__init__.py", '\napp.view_functions["index"] = lambda: "second"\n'),
    },
    "django": {
        "import error": ("config/wsgi.py", IMPORT_ERROR),
        "never ready": ("config/wsgi.py", "\napplication = lambda _, start: start('500 No', []) and []\n"),
        "crash after ready": ("config/wsgi.py", CRASH),
        "failing migration": ("notes/migrations/0002_failing.py", MIGRATION),
        "good": ("notes/views.py", '\nindex = lambda _: HttpResponse("second")\n'),
    },
    "fastapi": {
        "import error": ("app/main.py", IMPORT_ERROR),
        "never ready": ("app/main.py", "\napp.router.routes.clear()\n"),
        "crash after ready": ("app/main.py", CRASH),
        "failing migration": ("app/prestart.py", '\nraise SystemExit("no such column")\n'),
        "good": (
            "app/main.py",
            '\nindex = app.routes.pop(-2)\napp.get("/")(lambda: "second")\n',
        ),
    },
}
"""What is appended to which file of a project."""

SAMPLE = ("flask", "import error")
BAD = [
    pytest.param(name, change, id=f"{name}-{change}", marks=[] if (name, change) == SAMPLE else pytest.mark.thorough)
    for name, changes in CHANGES.items()
    for change in changes
    if change != "good"
]


class Typical(OtherProject):
    """A copy of a project, in separate containers."""

    timeout = None  # a first `up` installs what is in its image

    def __init__(self, name: str, directory: Path, **environment: str) -> None:
        """Copy it; nothing runs yet."""
        super().__init__(directory, **environment)
        self.changes = CHANGES[name]
        shutil.copytree(PROJECTS / name, directory, dirs_exist_ok=True)

    @contextlib.contextmanager
    def changed(self, change: str) -> Iterator[None]:
        """Append to a file of the project, or add the file, while the context is open."""
        name, appended = self.changes[change]
        path = self.directory / name
        text = path.read_text() if path.exists() else None
        path.write_text((text or "") + appended)
        try:
            yield
        finally:
            path.unlink() if text is None else path.write_text(text)

    def page(self) -> str:
        """Return the page that a client gets."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return str(answer.read().decode())

    def release(self) -> str:
        """Return the release of the web service."""
        services = json.loads(self.twelfth("status", "--json").stdout)["services"]
        return next(str(service["release"]) for service in services if service["service"] == "web")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Typical]]:
    """Return a function that returns the project of a name, up; tests share it."""
    require("docker")
    with contextlib.ExitStack() as projects:

        @functools.cache
        def start(name: str) -> Typical:
            environment = {"COMPOSE_FILE": "celery.yaml", "POSTGRES_IMAGE": POSTGRES} if name == "django" else {}
            typical = Typical(name, tmp_path_factory.mktemp(name), **environment)
            if name == "django":
                build_postgres(typical.api)
            projects.callback(typical.printed, "down", "--volumes", "--history", "--yes")
            typical.printed("up")
            return typical

        yield start


@pytest.mark.parametrize(("name", "change"), BAD)
def test_bad_deploy_fails_no_request(running: Callable[[str], Typical], name: str, change: str) -> None:
    """The release that was running stays, and answers."""
    project = running(name)
    before = project.release()
    with project.changed(change), load(project.port) as clients:
        done = project.twelfth("up", "--ready-within", "10")

    assert done.returncode, done.stdout
    assert (0, True) == (clients.failed, clients.answered > 0), (clients.failures, done.stderr)
    assert before == project.release()


@pytest.mark.thorough
@pytest.mark.parametrize("name", CHANGES)
def test_good_deploy_is_announced(running: Callable[[str], Typical], name: str) -> None:
    """A service that publishes a port gives no answers for a moment, as `up` predicts."""
    project = running(name)
    with project.changed("good"), load(project.port) as clients:
        done = project.twelfth("up")

    assert 0 == done.returncode, done.stderr
    assert f"web publishes {project.port}: about " in done.stdout + done.stderr
    assert clients.answered > clients.failed
    assert eventually(lambda: "second" in project.page())


@pytest.mark.thorough
def test_celery_and_django_share_a_directory(running: Callable[[str], Typical]) -> None:
    """The worker writes what a run of the web service reads; a new release may be tried next to both."""
    project = running("django")
    publish = "from config.celery import publish; publish.delay('kept')"
    project.printed("run", "--", "python", "manage.py", "shell", "--verbosity", "0", "--command", publish)

    assert eventually(lambda: "kept" == project.twelfth("run", "--", "cat", "public/text").stdout)


@pytest.mark.thorough
def test_mounted_source_is_outside_the_release(tmp_path: Path) -> None:
    """`up`, `status` and `rollback` warn: what a replica runs when it starts is what the directory has then."""
    require("docker")
    project = Typical("flask", tmp_path, COMPOSE_FILE="compose.yaml:mounted.yaml")
    try:
        first = project.twelfth("up")
        with project.changed("good"):
            project.printed("up")
        with project.changed("import error"), load(project.port) as clients:
            bad = project.twelfth("up", "--ready-within", "10")
            back = project.twelfth("rollback", "--ready-within", "10")
        status = project.twelfth("status")
    finally:
        project.printed("down", "--volumes", "--history", "--yes")

    assert (0, 0, True, True) == (first.returncode, clients.failed, bad.returncode > 0, back.returncode > 0)
    assert ["web: source mounted: " in done.stderr for done in (first, bad, back, status)] == [True] * 4
