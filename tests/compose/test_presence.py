"""Whether a project can have jobs, from the text of its Compose files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from twelfth.compose.presence import INCLUDE, JOBS, job_keys

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        ({"compose.yaml": "services: {app: {image: a, command: [jobs]}}"}, {}, set()),
        ({"compose.yaml": "x-jobs:\n  a: {}"}, {}, {JOBS}),
        ({"compose.yaml": '{"jobs" : {}}'}, {}, {JOBS}),
        ({"compose.yaml": "include: [a.yaml]"}, {}, {INCLUDE}),
        ({"compose.yaml": "", "compose.override.yaml": "jobs:\n"}, {}, {JOBS}),
        ({"compose.yaml": "jobs:", "a.yml": ""}, {"COMPOSE_FILE": "a.yml"}, set()),
        ({"a.yml": "", "b.yml": "jobs:"}, {"COMPOSE_FILE": "a.yml:b.yml"}, {JOBS}),
        ({"compose.yaml": ""}, {"COMPOSE_FILE": "oci://registry/app"}, {JOBS, INCLUDE}),
        ({"compose.yaml": "", ".env": "COMPOSE_FILE=other.yaml"}, {}, {JOBS, INCLUDE}),
        ({}, {}, set()),
    ],
)
def test_keys_in_the_text(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], expected: set[str]
) -> None:
    """A file that cannot be read here may have any; in a directory below, the files of the project count."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "below").mkdir()

    assert expected == job_keys(tmp_path, environment)
    assert environment or expected == job_keys(tmp_path / "below", environment) or ".env" in files
