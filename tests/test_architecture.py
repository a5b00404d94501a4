"""Who may import whom (docs/architecture.md), read from the source."""

from __future__ import annotations

import ast
import functools
import itertools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("twelfth", "twelfth_redis", "service", "admin")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
ONLY = {
    "invoke": ("tasks.py", "twelfth/cli/", "twelfth/__init__.py", "twelfth_redis/commands/"),
    "yaml": ("twelfth/compose/", "twelfth/init/compose_text.py", "twelfth/cli/views.py"),
    "docker": ("twelfth/engines/",),
    "supervisor": ("twelfth/engines/local/",),
    "cronsim": ("twelfth/schedule/fires.py",),
    "subprocess": (
        "twelfth/engines/",
        "twelfth/compose/cli.py",
        "twelfth/runs/receivers.py",
        "twelfth/schedule/child.py",
    ),
    "twelfth": ("twelfth/", "tasks.py", "twelfth_redis/commands/"),
    "service": ("service/", "admin/"),
    "admin": ("admin/",),
    "twelfth_redis": ("twelfth_redis/", "service/", "admin/"),
}
"""What is imported only in some places: libraries by their name, and our own packages."""

ROOMS = (
    ("twelfth.cli",),
    ("twelfth.stack",),
    ("twelfth.schedule",),
    ("twelfth.runs",),
    ("twelfth.engines",),
    ("twelfth.init",),
    ("twelfth.compose", "twelfth.build_context"),
    ("twelfth.model",),
    ("twelfth.errors", "twelfth.hints"),
)
"""The rooms of the tool, the uppermost first: each may import those below, none the other way."""

NEVER = {
    "admin/": ("service.app", "service.server", "service.__main__"),
    "twelfth/engines/docker/": ("twelfth.engines.local", "twelfth.engines.swarm"),
    "twelfth/engines/swarm/": ("twelfth.engines.local", "twelfth.engines.docker."),
    "twelfth/engines/docker_api/": ("twelfth.engines.local", "twelfth.engines.swarm", "twelfth.engines.docker."),
    "twelfth/engines/local/": ("twelfth.engines.docker", "twelfth.engines.swarm"),
}
EFFECTS = {
    "os",
    "socket",
    "subprocess",
    "time",
    "http",
    "urllib",
    "requests",
    "docker",
    "threading",
    "shutil",
    "tempfile",
}
PURE = (
    "twelfth/model/stack.py",
    "twelfth/model/snapshot.py",
    "twelfth/model/run.py",
    "twelfth/stack/plan.py",
    "twelfth/stack/steps.py",
    "twelfth/schedule/fires.py",
    "twelfth/engines/docker_api/identity.py",
    "twelfth/engines/docker_api/mounts.py",
    "twelfth/compose/container_keys.py",
    "twelfth/engines/docker_api/recipe.py",
    "twelfth/engines/docker_api/container_spec.py",
    "twelfth/engines/docker_api/run_spec.py",
    "twelfth/engines/docker_api/run_record.py",
    "twelfth/engines/docker_api/snapshot.py",
    "twelfth/engines/local/replica_spec.py",
    "twelfth/engines/local/run_spec.py",
    "twelfth/engines/swarm/rolling.py",
    "twelfth/engines/swarm/snapshot.py",
    "twelfth/stack/rollout.py",
    "twelfth/compose/errors.py",
    "twelfth/compose/extensions.py",
    "twelfth/compose/mounts.py",
    "twelfth/compose/proxy.py",
    "twelfth/compose/schema.py",
    "twelfth/compose/service_keys.py",
    "twelfth/compose/services.py",
    "twelfth/init/compose_text.py",
    "twelfth/init/databases.py",
    "twelfth/init/new_project.py",
    "twelfth/init/proposal.py",
    "twelfth/init/survey.py",
    "twelfth/cli/page/document.py",
    "twelfth/cli/page/entries.py",
    "twelfth/cli/page/kinds.py",
    "twelfth/cli/page/text.py",
    "twelfth/cli/page/timeline.py",
    "twelfth_redis/schema/plan.py",
    "twelfth_redis/schema/status.py",
)


@functools.cache
def imports(path: Path) -> set[str]:
    """Return the full names of what a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "tasks.py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_file_imports_only_what_its_layer_may(path: Path) -> None:
    """A library or a layer is imported only where the house has its place."""
    name = str(path.relative_to(ROOT))
    found = imports(path)

    misplaced = {each for each in found if not name.startswith(ONLY.get(each.split(".")[0], (name,)))}
    forbidden = {
        each for place, names in NEVER.items() if name.startswith(place) for each in found if each.startswith(names)
    }

    assert set() == misplaced | forbidden


@pytest.mark.parametrize("path", sorted((ROOT / "twelfth").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_downwards(path: Path) -> None:
    """A room imports itself and the rooms below it, so there are no circles between rooms."""
    above = [room for room in ROOMS if not any(_module(path).startswith(name) for name in room)]
    upper = itertools.takewhile(lambda room: room in above, ROOMS) if len(above) < len(ROOMS) else ()

    assert set() == {each for each in imports(path) for room in upper if each.startswith(room)}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


TOOLS = sorted(
    path for path in (ROOT / "twelfth_redis").rglob("*.py") if path.parent != ROOT / "twelfth_redis" / "commands"
)


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.name)
def test_redis_tools_stand_by_themselves(path: Path) -> None:
    """They import Python's own library, redis-py with hiredis, and each other: any service can have them."""
    allowed = sys.stdlib_module_names | {"redis", "hiredis", "twelfth_redis"}

    assert set() == {name.split(".")[0] for name in imports(path)} - allowed


@pytest.mark.parametrize("name", PURE)
def test_deciding_file_has_no_effects(name: str) -> None:
    """The model, the reader, the plan and what is said to Docker do no I/O."""
    assert set() == {each for each in imports(ROOT / name) if each.split(".")[0] in EFFECTS}
