"""What the Engine API is asked for when a replica is created."""

from __future__ import annotations

from tests.engines.docker.values import STACK, WORKER
from twelfth.engines.docker import replica


def test_labels_name_the_files_that_were_read() -> None:
    """`docker compose` finds there with which files it can manage the stack; all of them, and where."""
    labels = replica.labels(STACK, WORKER, 1, {})

    assert "/src/a.yml,/b.yml" == labels["com.docker.compose.project.config_files"]
    assert "/src" == labels["com.docker.compose.project.working_dir"]
