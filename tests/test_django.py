"""A project that has never heard of twelfth: Django with PostgreSQL, its migrations as the release command."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, require
from twelfth.engines import tcp
from twelfth.engines.docker import client

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECTS = Path(__file__).parent / "projects"
POSTGRES = "twelfth-base/postgres:17-debian"
"""PostgreSQL of Debian's packages, which stands in for the official image (tests/projects/postgres)."""

FIELD = "    done = models.BooleanField(default=False, db_default=False)\n"
MIGRATION = '''"""Let a note be done."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.AddField("note", "done", models.BooleanField(default=False, db_default=False))]
'''


class Site:
    """A copy of the project, in containers of its own."""

    def __init__(self, directory: Path) -> None:
        """Copy it; nothing runs yet."""
        self.directory, self.port = directory, tcp.free("127.0.0.1")
        shutil.copytree(PROJECTS / "django", directory, dirs_exist_ok=True)
        own = {"COMPOSE_PROJECT_NAME": f"t{secrets.token_hex(4)}", "PORT": str(self.port), "POSTGRES_IMAGE": POSTGRES}
        self.environment = {name: value for name, value in os.environ.items() if name != "INVOKE_ENGINE"} | own
        self.environment |= {"PYTHONPATH": str(ROOT), "DJANGO_SUPERUSER_PASSWORD": "a-secret"}

    def twelfth(self, *words: str, stdin: str = "") -> str:
        """Return what a command printed that went well."""
        command = [sys.executable, "-P", "-m", "twelfth", *words]
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, input=stdin, capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def page(self) -> str:
        """Return what a visitor sees."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return str(answer.read().decode())

    def shell(self, code: str) -> str:
        """Return what Django's shell prints, in a run."""
        return self.twelfth("run", "--", "python", "manage.py", "shell", "--verbosity", "0", stdin=code).strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return the project, up."""
    require("docker")
    made = Site(tmp_path_factory.mktemp("django"))
    image = client.connect().build(
        path=str(PROJECTS / "postgres"),
        tag=POSTGRES,
        buildargs={"DEBIAN_IMAGE": os.environ.get("PYTHON_IMAGE", "python:3.13-slim")},
        decode=True,
    )
    assert not [event["error"] for event in image if "error" in event]
    try:
        made.twelfth("up")
        yield made
    finally:
        made.twelfth("down", "--volumes", "--history")


def test_migrations_are_applied_when_the_database_is_ready_and_before_anything_serves(site: Site) -> None:
    """As the release command, which its record tells; the page could not be shown without them."""
    assert "0 notes of id, text\n" == site.page()
    assert "python manage.py migrate --noinput" in site.twelfth("history")


def test_administration_runs_beside_what_serves(site: Site) -> None:
    """`createsuperuser` has its password from the operator, and `shell` sees what it made; both are recorded."""
    names = {"USERNAME": "ann", "EMAIL": "ann@example.org"}
    given = [word for name, value in names.items() for word in ("--env", f"DJANGO_SUPERUSER_{name}={value}")]
    site.twelfth(
        "run", *given, "--env", "DJANGO_SUPERUSER_PASSWORD", "--", "python", "manage.py", "createsuperuser", "--noinput"
    )

    known = "from django.contrib.auth.models import User; print([each.username for each in User.objects.all()])"
    assert "['ann']" == site.shell(known)
    assert "a-secret" not in site.twelfth("history", "--json")


def test_deploy_with_a_migration_and_back(site: Site) -> None:
    """What was written stays, whichever release reads it; the one before serves again without being built."""
    site.shell("from notes.models import Note; Note.objects.create(text='kept')")
    models = site.directory / "notes" / "models.py"
    models.write_text(models.read_text() + FIELD)
    (site.directory / "notes" / "migrations" / "0002_note_done.py").write_text(MIGRATION)

    site.twelfth("up")
    assert "1 notes of id, text, done\n" == site.page()

    said = site.twelfth("rollback")
    assert ("build" in said, "1 notes of id, text\n") == (False, site.page())
