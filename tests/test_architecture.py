"""The floors of ARCHITECTURE.md, kept by reading the imports of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "selfcog"
FLOORS = {
    "types": 0,
    "errors": 0,
    "events": 0,
    "runs": 0,
    "startup": 0,
    "config": 1,
    "console": 1,
    "identity": 2,
    "data": 2,
    "tokens": 3,
    "model": 4,
    "train": 5,
    "evaluate": 5,
    "export": 6,
    "teacher": 6,
    "serve": 6,
    "sweep": 6,
    "commands": 7,
    "api": 8,
    "web": 8,
    "cli": 9,
    "__main__": 10,
}
NEVER_TOGETHER = {("identity", "data"), ("data", "identity"), ("train", "evaluate")}
HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "pyarrow", "safetensors"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_name(path: Path) -> str:
    parts = ["selfcog", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path) for path in MODULES}


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full dotted names that a module imports, in-function imports included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in NAMES else base)
    return found


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_only_lower_floors_or_its_own_folder(path: Path) -> None:
    own = part_of(module_name(path))
    assert own in FLOORS, f"{own} has no floor"
    for name in imported(path):
        if not name.startswith("selfcog."):
            continue
        other = part_of(name)
        lower = FLOORS[other] < FLOORS[own] or FLOORS[other] == FLOORS[own] == 0
        assert other == own or lower, f"{module_name(path)} → {name}"
        assert (own, other) not in NEVER_TOGETHER, f"{own} must not know {other}"


def test_no_import_cycles() -> None:
    graph = {
        module_name(path): {name for name in imported(path) if name in NAMES} for path in MODULES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name in done:
            return
        for other in sorted(graph[name] - {name}):
            visit(other, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_heavy_libraries_stay_upstairs(path: Path) -> None:
    floor = FLOORS[part_of(module_name(path))]
    roots = {name.split(".")[0] for name in imported(path)}
    if floor <= 2:
        assert not roots & {"torch", "transformers", "peft", "accelerate"}
    if floor <= 3 or part_of(module_name(path)) in {"cli", "api"}:
        top = {name.split(".")[0] for name in imported(path, top_level_only=True)}
        assert not top & HEAVY


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_files_stay_readable_in_one_go(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420


@pytest.mark.parametrize("module", ["selfcog", "selfcog.cli", "selfcog.data", "selfcog.identity"])
def test_light_modules_load_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
