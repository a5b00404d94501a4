"""Set-ups that many public projects have, and releases of each, good and bad."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import DOCKER_COMPOSE, require, require_program
from tests.other_project import POSTGRES, OtherProject, build_postgres
from tests.registry import push, registry, remove_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROJECTS = Path(__file__).parents[1] / "projects"

GOOD = "good"
IMPORT_ERROR = "\nimport missing_module\n"
CRASH = "\nimport os, threading\nthreading.Timer(3, os._exit, [3]).start()\n"
"""A process that exits when it has been ready for a moment; gunicorn exits with a worker that has this code."""

MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.RunSQL("SELECT missing")]
"""

FLASK = {
    "import error": ("app/__init__.py", IMPORT_ERROR),
    "never ready": ("app/__init__.py", '\napp.view_functions["health"] = lambda: ("no", 500)\n'),
    "crash after ready": ("app/__init__.py", CRASH),
    GOOD: ("app/__init__.py", '\napp.view_functions["index"] = lambda: "second"\n'),
}
DJANGO = {
    "import error": ("config/wsgi.py", IMPORT_ERROR),
    "never ready": ("config/wsgi.py", "\napplication = lambda _, start: start('500 No', []) and []\n"),
    "crash after ready": ("config/wsgi.py", CRASH),
    "failing migration": ("notes/migrations/0002_failing.py", MIGRATION),
    GOOD: ("notes/views.py", '\nindex = lambda _: HttpResponse("second")\n'),
}
FASTAPI = {
    "import error": ("app/main.py", IMPORT_ERROR),
    "never ready": ("app/main.py", "\napp.router.routes.clear()\n"),
    "crash after ready": ("app/main.py", CRASH),
    "failing migration": ("app/prestart.py", '\nraise SystemExit("no such column")\n'),
    GOOD: ("app/main.py", '\nindex = app.routes.pop(-2)\napp.get("/")(lambda: "second")\n'),
}


@dataclass(frozen=True)
class SetUp:
    """Where the code is, what is appended to which file of it for a release, and the Compose files."""

    code: str
    changes: Mapping[str, tuple[str, str]]
    files: str = "compose.yaml"


SETUPS = {
    "flask": SetUp("flask", FLASK),
    "django": SetUp("django", DJANGO, "celery.yaml"),
    "fastapi": SetUp("fastapi", FASTAPI),
    "pulled": SetUp("fastapi", FASTAPI),
    "mounted": SetUp("flask", FLASK, "compose.yaml:mounted.yaml"),
}
RELEASED = [name for name in SETUPS if name != "mounted"]
"""Those whose code is in their releases."""

PROXY = 'x-twelfth: {proxy: {service: web, port: 8000, image: "${WEB_IMAGE:-haproxy:3.0-alpine}"}}\n'


class Typical(OtherProject):
    """A project of a set-up, in separate containers."""

    timeout = None  # a first `up` installs what is in its image

    def __init__(self, setup: SetUp, directory: Path, *, is_proxied: bool = False) -> None:
        """Copy the code; nothing runs yet."""
        files = f"{setup.files}:proxy.yaml" if is_proxied else setup.files
        super().__init__(directory, POSTGRES_IMAGE=POSTGRES, COMPOSE_FILE=files)
        self.code, self.changes = directory, setup.changes
        shutil.copytree(PROJECTS / setup.code, self.code, dirs_exist_ok=True)
        (directory / "proxy.yaml").write_text(PROXY)

    @contextlib.contextmanager
    def changed(self, change: str) -> Iterator[None]:
        """Make a release that `deploy` brings into service while the context is open."""
        name, appended = self.changes[change]
        path = self.code / name
        text = path.read_text() if path.exists() else None
        path.write_text((text or "") + appended)
        try:
            yield
        finally:
            path.unlink() if text is None else path.write_text(text)

    def compose(self) -> None:
        """Deploy with Compose; its exit code says little about the release."""
        words = (DOCKER_COMPOSE, "up", "-d", "--build")
        subprocess.run(words, cwd=self.directory, env=self.environment, capture_output=True, check=False)

    def page(self) -> str:
        """Return the page that a client gets."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return str(answer.read().decode())

    def release(self) -> str:
        """Return the release of the web service."""
        services = json.loads(self.twelfth("status", "--json").stdout)["services"]
        return next(str(service["release"]) for service in services if service["service"] == "web")


class Pulled(Typical):
    """A directory with nothing but Compose files, whose image is in a registry; a tag is deployed."""

    def __init__(self, setup: SetUp, directory: Path, host: str, *, is_proxied: bool = False) -> None:
        """Push the first release."""
        super().__init__(setup, directory / "code", is_proxied=is_proxied)
        self.directory = directory / "deploy"
        shutil.copytree(PROJECTS / "pulled", self.directory)
        (self.directory / "proxy.yaml").write_text(PROXY)
        self.environment["REGISTRY"] = host
        self._push("first")

    @contextlib.contextmanager
    def changed(self, change: str) -> Iterator[None]:
        """Push a release under a new tag, and declare the tag while the context is open."""
        before, tag = self.environment["TAG"], change.replace(" ", "-")
        with super().changed(change):
            self._push(tag)
        try:
            yield
        finally:
            self.environment["TAG"] = before

    def _push(self, tag: str) -> None:
        arguments = {"PYTHON_IMAGE": os.environ.get("PYTHON_IMAGE", "python:3.13-slim")}
        built, name = f"{self.name}-built", f"{self.environment['REGISTRY']}/backend"
        events = self.api.build(path=str(self.code), tag=f"{built}:{tag}", buildargs=arguments, rm=True, decode=True)
        assert not [event["error"] for event in events if "error" in event]
        self.api.tag(f"{built}:{tag}", name, tag)
        push(self.api, f"{name}:{tag}")
        self.environment["TAG"] = tag


@contextlib.contextmanager
def project(name: str, directory: Path, *, is_proxied: bool = False) -> Iterator[Typical]:
    """Return the project of a set-up, which does not run yet, and remove everything of it in the end."""
    require("docker")
    with contextlib.ExitStack() as stack:
        if name == "pulled":
            require_program("docker-registry")
            host = stack.enter_context(registry(directory))
            typical: Typical = Pulled(SETUPS[name], directory, host, is_proxied=is_proxied)
            stack.callback(remove_images, typical.api, host)
        else:
            typical = Typical(SETUPS[name], directory, is_proxied=is_proxied)
        if name == "django":
            build_postgres(typical.api)
        stack.callback(remove_images, typical.api, f"{typical.name}-")
        stack.callback(typical.printed, "down", "--volumes", "--history", "--yes")
        yield typical
