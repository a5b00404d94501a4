"""Both Composes: the operator's, if there is one, and the one that is installed with twelfth."""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twelfth.compose import cli, services
from twelfth.errors import MisuseError

if TYPE_CHECKING:
    from twelfth.model.stack import Stack

OWN = str(Path(sysconfig.get_path("scripts"), "docker-compose"))
HOME = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True)
class Project:
    """A directory with the files of a test, and the Compose that reads them."""

    directory: Path
    programs: tuple[str, ...]
    warned: list[str] = field(default_factory=list)

    def write(self, **files: str) -> None:
        """Write files; two underscores of a name stand for its dot, three for its slash."""
        for name, text in files.items():
            path = self.directory / name.replace("___", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def read(self, text: str = "", **environment: str) -> Stack:
        """Return the stack of `compose.yaml`, where a text is given, or of what was written; keep the warnings."""
        if text:
            self.write(compose__yaml=text)
        found = cli.read(self.directory, HOME | environment, self.warned.append, self.programs)
        return services.stack(found.model, found.files)

    def refused(self, text: str = "", **environment: str) -> str:
        """Return the error."""
        with pytest.raises(MisuseError) as refusal:
            self.read(text, **environment)
        return str(refusal.value).replace(f"{self.directory}/", "")


@pytest.fixture(scope="session", params=["own", "operator"])
def programs(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Return the Compose that is installed with twelfth, and then the operator's; skip a missing one."""
    if request.param == "own":
        return (OWN,)
    others = [program for program in cli.programs(os.environ) if program != OWN]
    if not others:
        pytest.skip("the operator has no docker compose")
    return (others[0],)


@pytest.fixture
def project(tmp_path: Path, programs: tuple[str, ...]) -> Project:
    """Return an empty project in a directory named `shop`."""
    (tmp_path / "shop").mkdir()
    return Project(tmp_path / "shop", programs)
