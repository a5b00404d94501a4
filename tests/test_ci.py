"""What `.ci/base-images` puts into a base image of where packages are found: never a secret."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "base-images"
OPEN, SECRET = "https://index.example/simple", "https://ada:s3cret@index.example/simple"


def called(function: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call a function of the script, with pip's settings from a file or from the environment only."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"source {SCRIPT}; {function}"],  # noqa: S607
        env={"PATH": path, "PIP_CONFIG_FILE": os.devnull, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pip_finds_packages_in_a_build_where_it_does_here() -> None:
    """Parts of the configuration that refer to this disk are left out."""
    settings = called(
        "pip_settings",
        PIP_INDEX_URL=OPEN,
        PIP_EXTRA_INDEX_URL=f"file:///index /other\n{OPEN}/b",
        PIP_PROXY="http://p:1",
    )

    assert ["[global]", f"index-url = {OPEN}", f"extra-index-url = {OPEN}/b", "proxy = http://p:1"] == (
        settings.stdout.splitlines()
    )


@pytest.mark.skipif(not find_spec("pip"), reason="the environment was made by uv and has no pip to ask")
def test_environment_wins_over_pips_file(tmp_path: Path) -> None:
    """As it does for pip: who has a secret in the file can name another place."""
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {SECRET}\nextra-index-url =\n  {OPEN}/a\n  {OPEN}/b\n")
    asked, refused = (
        called("pip_settings", PIP_CONFIG_FILE=str(file), **more) for more in ({"PIP_INDEX_URL": OPEN}, {})
    )

    assert ["[global]", f"index-url = {OPEN}", f"extra-index-url = {OPEN}/a {OPEN}/b"] == asked.stdout.splitlines()
    assert (1, True) == (refused.returncode, "pip's index-url (PIP_INDEX_URL) holds credentials" in refused.stderr)


@pytest.mark.parametrize(
    ("function", "environment"),
    [
        ("pip_settings", {"PIP_INDEX_URL": SECRET}),
        ("pip_settings", {"PIP_EXTRA_INDEX_URL": f"{OPEN} {SECRET}"}),
        ("pip_settings", {"PIP_INDEX_URL": "https://token@index.example/simple"}),
        ("pip_settings", {"PIP_PROXY": "http://ada:s3cret@proxy.example:3128"}),
        pytest.param(
            "make_stand_ins",
            {"DEBIAN_MIRROR": "https://ada:s3cret@mirror.example/debian"},
            marks=pytest.mark.skipif(not which("apt-get"), reason="no Debian: there is no stand-in to be made"),
        ),
    ],
)
def test_credentials_are_refused_and_not_shown(function: str, environment: dict[str, str]) -> None:
    """An image is for everybody who gets it."""
    refused = called(function, **environment)

    assert (1, True) == (refused.returncode, f"({next(iter(environment))}) holds credentials" in refused.stderr)
    assert [] == [secret for secret in ("s3cret", "token") if secret in refused.stdout + refused.stderr]


def test_an_at_sign_in_a_path_is_no_secret() -> None:
    """Credentials come before the host."""
    assert f"index-url = {OPEN}/@scope" in called("pip_settings", PIP_INDEX_URL=f"{OPEN}/@scope").stdout
