"""twelfth_redis as a separate package."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "twelfth_redis"
SOURCES = sorted(str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py"))


def project() -> dict[str, Any]:
    """Return its description."""
    return tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))


def builder() -> int:
    """Return the major version of setuptools, 0 where it is not installed."""
    try:
        return int(importlib.metadata.version("setuptools").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


def test_every_folder_is_in_the_package() -> None:
    """A missing folder would be missing only from the wheel."""
    folders = {Path(name).parent.as_posix().replace("/", ".") for name in SOURCES}

    assert folders == set(project()["tool"]["setuptools"]["packages"])


def test_image_has_no_description_of_the_package() -> None:
    """It would change the release, and nothing in the image reads it."""

    assert "twelfth_redis/pyproject.toml" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def test_redis_is_all_that_it_needs_and_the_service_has_the_same() -> None:
    """With hiredis, which restore needs."""
    (needed,) = project()["project"]["dependencies"]

    assert needed.startswith("redis[hiredis]>=")
    assert "redis[hiredis]" in (ROOT / "service" / "requirements.in").read_text("utf-8").splitlines()


@pytest.mark.skipif(builder() < 77, reason="the wheel is built with setuptools 77 or later, which is not installed")
def test_wheel_holds_every_file(tmp_path: Path) -> None:
    """Built without a network, and without files of the service."""
    shutil.copytree(PACKAGE, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "source")], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("twelfth_redis-*.whl")

    assert SOURCES == sorted(name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name)
