"""A project that has never heard of twelfth: Django with PostgreSQL, its migrations as the release command."""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require
from tests.other_project import POSTGRES, OtherProject, build_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.thorough

PROJECTS = Path(__file__).parent / "projects"
FIELD = "    done = models.BooleanField(default=False, db_default=False)\n"
MIGRATION = '''"""Let a note be done."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.AddField("note", "done", models.BooleanField(default=False, db_default=False))]
'''


class Site(OtherProject):
    """A copy of the project, in separate containers."""

    timeout = None  # a first `up` installs what is in its image

    def __init__(self, directory: Path) -> None:
        """Copy it; nothing runs yet."""
        super().__init__(directory, POSTGRES_IMAGE=POSTGRES, DJANGO_SUPERUSER_PASSWORD="a-secret")  # noqa: S106
        shutil.copytree(PROJECTS / "django", directory, dirs_exist_ok=True)

    def page(self) -> str:
        """Return the page that a client gets."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return str(answer.read().decode())

    def shell(self, code: str) -> str:
        """Return the output of Django's shell in a run; it reads standard input only without a delay."""
        words = ("python", "manage.py", "shell", "--verbosity", "0", "--command", code)
        return self.printed("run", "--", *words).strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return the project, up."""
    require("docker")
    made = Site(tmp_path_factory.mktemp("django"))
    build_postgres(made.api)
    try:
        made.printed("up")
        yield made
    finally:
        made.printed("down", "--volumes", "--history", "--yes")


def test_migrations_are_applied_when_the_database_is_ready_and_before_anything_serves(site: Site) -> None:
    """As the release command, which its record tells; the page could not be shown without them."""
    assert "0 notes of id, text\n" == site.page()
    assert '"manage.py", "migrate", "--noinput"' in site.printed("history", "--json")


def test_administration_runs_beside_what_serves(site: Site) -> None:
    """`createsuperuser` has its password from the operator, and `shell` sees what it made; both are recorded."""
    names = {"USERNAME": "ann", "EMAIL": "ann@example.org"}
    given = [word for name, value in names.items() for word in ("--env", f"DJANGO_SUPERUSER_{name}={value}")]
    site.printed(
        "run", *given, "--env", "DJANGO_SUPERUSER_PASSWORD", "--", "python", "manage.py", "createsuperuser", "--noinput"
    )

    known = "from django.contrib.auth.models import User; print([each.username for each in User.objects.all()])"
    assert "['ann']" == site.shell(known)
    assert "a-secret" not in site.printed("history", "--json")


def test_deploy_with_a_migration_and_back(site: Site) -> None:
    """What was written stays, whichever release reads it; the one before serves again without being built."""
    site.shell("from notes.models import Note; Note.objects.create(text='kept')")
    models = site.directory / "notes" / "models.py"
    models.write_text(models.read_text() + FIELD)
    (site.directory / "notes" / "migrations" / "0002_note_done.py").write_text(MIGRATION)

    site.printed("up")
    assert "1 notes of id, text, done\n" == site.page()

    said = site.printed("rollback")
    assert ("build" in said, "1 notes of id, text\n") == (False, site.page())
