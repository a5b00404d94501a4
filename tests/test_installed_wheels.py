"""The wheels of `.ci/wheels`, installed as a user does, on each Python that this machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
COMPOSE_FILE = """\
services:
  app:
    build: .
    x-local: {command: [python, -m, http.server, --bind, 127.0.0.1, <port>]}
"""
MIGRATE = '''\
"""Migrate this project's database."""

if __name__ == "__main__":
    print("migrated")
'''

pytestmark = pytest.mark.thorough


def interpreter(version: str) -> str:
    """Return a Python of that version, on PATH or by pyenv, "" if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [which(f"python{version}"), *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python")))]
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        candidates.append(sys.executable)
    commands = [[path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"] for path in candidates if path]
    results = [
        (command[0], subprocess.run(command, check=False, capture_output=True, text=True)) for command in commands
    ]
    return next((path for path, result in results if result.stdout.strip() == version), "")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the two wheels, with a version as if a tag had it."""
    directory = tmp_path_factory.mktemp("wheels")
    environment = os.environ | {"PYTHON": sys.executable}
    subprocess.run([ROOT / ".ci/wheels", directory, "v9.8.7"], check=True, env=environment, timeout=120)
    return {path.name.partition("-9.8.7")[0]: path for path in directory.glob("*.whl")}


@pytest.mark.parametrize("version", VERSIONS)
def test_wheels_install_what_is_named(version: str, wheels: dict[str, Path], tmp_path: Path) -> None:
    """Twelfth has neither supervisor nor the commands of twelfth-redis until they are installed."""
    if not (python := interpreter(version)):
        pytest.skip(f"this machine has no Python {version}")
    venv, home, project = tmp_path / "venv", tmp_path / "home", tmp_path / "sample"
    (project / "admin").mkdir(parents=True)
    (project / "compose.yaml").write_text(COMPOSE_FILE)
    (project / "Dockerfile").write_text("FROM scratch\n")
    (project / "admin/migrate.py").write_text(MIGRATE)
    dropped = {"PYTHONPATH", "DOCKER_HOST"}
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"XDG_STATE_HOME": str(home), "INVOKE_ENGINE": "local", "PATH": f"{venv}/bin:{os.environ['PATH']}"}

    def execute(*words: str | Path, code: int = 0) -> str:
        result = subprocess.run(
            [str(word) for word in words], check=False, capture_output=True, text=True, cwd=project, env=environment
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    def install(*packages: str) -> None:
        execute(venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *packages)

    execute(python, "-m", "venv", venv)
    install(str(wheels["twelfth"]))

    assert "twelfth 9.8.7" in execute("twelfth", "--version").lower()
    assert "pip install 'twelfth[local]'" in execute("twelfth", "up", code=125)
    assert "--abandon" not in execute("twelfth", "migrate", "--help")

    install(f"{wheels['twelfth']}[local]", str(wheels["twelfth_redis"]))

    assert "--abandon" in execute("twelfth", "migrate", "--help")
    try:
        execute("twelfth", "up")
        assert "migrated" in execute("twelfth", "run", "--", "python", "-m", "admin.migrate")
    finally:
        execute("twelfth", "down")
