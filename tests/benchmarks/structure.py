"""Measure the structure of the package, as a Markdown table.

usage: python -m tests.benchmarks.structure [PACKAGE …]

PACKAGE is a package's folder, by default xlam_local; several make one column each. A circle is a
group of modules that import each other, with imports inside functions and under TYPE_CHECKING
counted. A lazy import is an import statement inside a function.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = Mapping[str, set[str]]


def modules(folder: Path) -> dict[str, ast.Module]:
    """Return the parsed modules of a package by their full name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def import_graph(folder: Path) -> dict[str, set[str]]:
    """Return which modules of the package each module imports, wherever the import is written."""
    trees = modules(folder)
    packages = {name for name in trees if any(other.startswith(f"{name}.") for other in trees)}
    return {
        name: {target for target in _targets(tree, name, name in packages, trees) if target != name}
        for name, tree in trees.items()
    }


def _targets(
    tree: ast.Module, name: str, is_package: bool, known: Mapping[str, ast.Module]
) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".") if is_package else name.split(".")[:-1]
            base = base[: len(base) - node.level + 1] if node.level else []
            source = ".".join([*base, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                if inner in known or source in known:
                    yield inner if inner in known else source


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of modules that import each other: components of more than one module."""
    reached = {start: _reachable(graph, start) for start in graph}
    found = {
        tuple(sorted(other for other in reached[start] if start in reached[other]))
        for start in graph
        if start in reached[start]
    }
    return [list(group) for group in sorted(found)]


def _reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(graph.get(name, ()))
    return seen


def lazy_imports(tree: ast.Module) -> int:
    """Return how many import statements are inside functions."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return len(
        {
            inner
            for function in functions
            for inner in ast.walk(function)
            if isinstance(inner, ast.Import | ast.ImportFrom)
        }
    )


def duplicate_classes(trees: Mapping[str, ast.Module]) -> list[str]:
    """Return the class names that more than one class has, private names included."""
    names = Counter(
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    return sorted(name for name, count in names.items() if count > 1)


def measure(folder: Path) -> dict[str, str]:
    """Return the figures of one package, by their label."""
    trees = modules(folder)
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py")]
    lengths = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    widest = Counter(path.parent for path in folder.rglob("*.py")).most_common(1)[0]
    groups = circles(import_graph(folder))
    duplicates = duplicate_classes(trees)
    return {
        "modules": str(len(trees)),
        "lines": f"{sum(lines):,}",
        "largest file, lines": str(max(lines)),
        "most files in one folder": str(widest[1]),
        "functions": f"{len(lengths):,}",
        "function length: median / p90 / longest, lines": (
            f"{statistics.median(lengths):.0f} / {lengths[len(lengths) * 9 // 10]} / {lengths[-1]}"
        ),
        "imports inside functions": str(sum(map(lazy_imports, trees.values()))),
        "import circles (modules in them)": f"{len(groups)} ({sum(map(len, groups))})",
        "class names used twice": str(len(duplicates)),
    }


def main(folders: list[str]) -> None:
    """Print one column of figures for each package folder."""
    columns = {folder: measure(Path(folder)) for folder in folders or ["xlam_local"]}
    print("|", *(f"| {folder} " for folder in columns), "|", sep=" ")
    print("|---" * (len(columns) + 1) + "|")
    for label in next(iter(columns.values())):
        print(f"| {label} |", " | ".join(column[label] for column in columns.values()), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
