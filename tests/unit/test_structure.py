"""The structure of the package and the tests, as CONTRIBUTING.md describes it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks import structure

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "xlam_local"
TESTS = ROOT / "tests"
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_LAZY_IMPORTS = 60


def long_files(folder: Path) -> list[str]:
    """Return the Python files of a folder with more lines than allowed."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in folder.rglob("*.py")
    }
    return [f"{name}: {length}" for name, length in lengths.items() if length > MAX_FILE_LINES]


TREES = structure.modules(PACKAGE)


def long_functions() -> Iterator[str]:
    """Yield the functions of the package with more lines than allowed."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    yield f"{name}.{node.name}: {length}"


def imported_test_modules() -> Iterator[str]:
    """Yield each import of one test module by another module of the tests."""
    for name, imported in structure.import_graph(TESTS).items():
        for target in imported:
            if target.rpartition(".")[2].startswith("test_"):
                yield f"{name} imports {target}"


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    assert structure.circles(structure.import_graph(PACKAGE)) == []


@pytest.mark.slow
def test_no_class_name_is_used_twice() -> None:
    assert structure.duplicate_classes(TREES) == []


def test_no_file_is_too_long() -> None:
    assert long_files(PACKAGE) == []


@pytest.mark.slow
def test_no_function_is_too_long() -> None:
    assert list(long_functions()) == []


def test_no_test_module_is_too_long() -> None:
    assert long_files(TESTS) == []


@pytest.mark.slow
def test_no_test_module_imports_another() -> None:
    assert list(imported_test_modules()) == []


@pytest.mark.slow
def test_imports_inside_functions_are_few() -> None:
    assert sum(map(structure.lazy_imports, TREES.values())) <= MAX_LAZY_IMPORTS
