"""Write the module tree of docs/architecture.md from the modules' docstrings.

usage: python -m tests.scripts.module_tree

The tree is between two HTML comments of the page. A test compares it with the modules.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.scripts.page_block import with_block

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
START = "<!-- module tree: start -->\n"
END = "<!-- module tree: end -->\n"
INDENT = "  "


def tree(folder: Path = ROOT / "xlam_local") -> str:
    """Return the tree as a Markdown code block: one line for each package and module."""
    return "\n".join(["```text", *_lines(folder, 0), "```", ""])


def with_tree(page: str) -> str:
    """Return the page with the tree of the modules as they are now."""
    return with_block(page, START, tree(), END)


def summary(path: Path) -> str:
    """Return the first sentence of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def _lines(folder: Path, depth: int) -> Iterator[str]:
    yield _line(f"{folder.name}/", folder / "__init__.py", depth, 0)
    modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    width = max((len(path.name) for path in modules), default=0)
    for path in modules:
        yield _line(path.name, path, depth + 1, width)
    for package in sorted(folder.iterdir()):
        if (package / "__init__.py").is_file():
            yield from _lines(package, depth + 1)


def _line(name: str, path: Path, depth: int, width: int) -> str:
    return f"{INDENT * depth}{name:{width}}  {summary(path)}".rstrip()


if __name__ == "__main__":
    PAGE.write_text(with_tree(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
