"""The copies of configuration files that containers see."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from twelfth.engines.docker.configs import Copies, declared
from twelfth.model.stack import Mount, Service

if TYPE_CHECKING:
    from pathlib import Path


def test_copy_is_written_in_place_and_read_by_whom_its_file_is(tmp_path: Path) -> None:
    """A container that has it mounted sees the change, and a file that nobody may write is copied more than once."""
    file, copies = tmp_path / "app.cfg", Copies(tmp_path / "1")
    service = Service("app", "app", mounts=(Mount("config", "/etc/app.cfg", str(file), read_only=True),))
    (mount,) = copies.mounted_by(service).mounts
    seen: set[int] = set()
    for content in ("a long one", "short"):
        (new := tmp_path / "new").write_text(content, "utf-8")
        new.chmod(0o444)
        new.replace(file)
        copies.put(declared(service))
        seen.add(copies.path("/etc/app.cfg").stat().st_ino)

    assert mount.source == str(tmp_path / "1" / "etc" / "app.cfg")
    assert "short" == copies.path("/etc/app.cfg").read_text("utf-8")
    assert 0o644 == stat.S_IMODE(copies.path("/etc/app.cfg").stat().st_mode)
    assert 1 == len(seen)
