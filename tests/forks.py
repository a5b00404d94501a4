"""Processes that are forked from one with slow imports already done."""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
"""There is one such process for all that is forked by a test process."""

_OF_TESTS = ["pytest", "tests.faults", "tests.forked_invoke"]
FORKS.set_forkserver_preload([*_OF_TESTS, "admin.migrate", "admin.reset", "admin.restore", "invoke.main", "docker"])
