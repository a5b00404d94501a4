"""Who may import whom (DESIGN section 7), read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("stack", "twelfth", "service", "admin") for path in (ROOT / folder).rglob("*.py"))
ONLY = {
    "invoke": ("tasks.py",),
    "yaml": ("twelfth/compose/",),
    "docker": ("stack/engines/",),
    "supervisor": ("stack/engines/",),
    "subprocess": ("stack/engines/", "twelfth/compose/config.py"),
    "service": ("service/", "admin/"),
    "admin": ("admin/",),
    "stack": ("stack/", "twelfth/", "tasks.py"),
    "twelfth": ("stack/lifecycle.py", "twelfth/"),
}
NEVER = {
    "stack/engines/": ("twelfth.stack.plan", "twelfth.compose", "twelfth.stack.lifecycle", "twelfth.runs.oneoff"),
    "stack/plan.py": ("twelfth.engines", "twelfth.compose", "twelfth.stack.lifecycle"),
    "twelfth/compose/": ("twelfth.engines", "twelfth.stack.plan", "twelfth.stack.lifecycle"),
    "stack/model.py": ("stack.",),
    "admin/": ("service.app", "service.server", "service.__main__"),
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
    "stack/model.py",
    "stack/plan.py",
    "stack/engines/container.py",
    "stack/engines/one_off.py",
    "twelfth/compose/errors.py",
    "twelfth/compose/services.py",
)


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


@pytest.mark.parametrize("name", PURE)
def test_deciding_file_has_no_effects(name: str) -> None:
    """The model, the reader, the plan and what is said to Docker do no I/O."""
    assert set() == {each for each in imports(ROOT / name) if each.split(".")[0] in EFFECTS}
