"""The sample that `./inv test` runs leaves out no test: only other engines of it."""

from __future__ import annotations

import pytest

from tests import sample

VARIANTS = ("docker", "local")


@pytest.mark.parametrize(
    ("test", "engine"),
    [
        ("tests/a.py::test_a[local]", "local"),
        ("tests/a.py::test_a[docker-x]", "docker"),
        ("tests/a.py::test_a[x-modern]", "modern"),
        ("tests/a.py::test_a[dockerfile]", ""),
        ("tests/docker/a.py::test_a", ""),
    ],
)
def test_engine_of_a_test_is_in_its_parameters(test: str, engine: str) -> None:
    """And not in its path."""
    assert engine == sample.engine(test)


def test_each_engine_has_its_share() -> None:
    """The same at each run."""
    chosen = [sample.choose(f"tests/a.py::test_{number}[]", VARIANTS) for number in range(40)]

    assert chosen == [sample.choose(f"tests/a.py::test_{number}[]", VARIANTS[::-1]) for number in range(40)]
    assert all(chosen.count(engine) > 40 // 4 for engine in VARIANTS)


def test_no_test_is_left_out_completely(request: pytest.FixtureRequest) -> None:
    """Unless it is marked `thorough`; a test of one engine runs on it, whatever engine its file names."""
    items = [item for item in request.session.items if not item.get_closest_marker("thorough")]
    functions = {item.nodeid.partition("[")[0] for item in items if not item.get_closest_marker("every_engine")}

    assert functions <= {item.nodeid.partition("[")[0] for item in sample.sample(items)}
