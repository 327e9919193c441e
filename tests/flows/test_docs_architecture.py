"""The page about the architecture: its module tree, its names and its search terms."""

from __future__ import annotations

import ast
import re
import tokenize
from importlib import import_module
from pathlib import Path

import pytest

import xlam_local
from tests.scripts.module_tree import PAGE, ROOT, with_tree

TEXT = PAGE.read_text(encoding="utf-8")
PACKAGE = ROOT / "xlam_local"


def read_section(heading: str) -> str:
    """Return the part of the page below a heading."""
    return TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def read_rows(text: str) -> list[tuple[str, str]]:
    """Return the rows of the tables with two columns."""
    return re.findall(r"^\| (.*?) \| (.*?) \|$", text, re.MULTILINE)


def prose(path: Path) -> str:
    """Return a module's docstrings and comments in lower case, with single spaces."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    docstrings = [
        node.value.value
        for node in nodes
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    with tokenize.open(path) as file:
        tokens = tokenize.generate_tokens(file.readline)
        comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return " ".join(" ".join((*docstrings, *comments)).lower().split())


TERMS = [
    (term, module.strip("`"))
    for term, module in read_rows(read_section("Where to look").partition("Search terms")[2])
    if module.startswith("`")
]


@pytest.mark.slow
def test_the_module_tree_is_generated_from_the_docstrings() -> None:
    assert with_tree(TEXT) == TEXT, "run python -m tests.scripts.module_tree"


def test_the_page_has_all_search_terms() -> None:
    assert len(TERMS) == 15


@pytest.mark.parametrize(("term", "module"), TERMS)
def test_a_search_term_occurs_in_its_module(term: str, module: str) -> None:
    assert term in prose(PACKAGE / module)


def test_the_places_to_look_exist() -> None:
    for _, places in read_rows(read_section("Where to look").partition("Search terms")[0]):
        for module, names in re.findall(r"`([\w/]+\.py)`(?:: ((?:`[\w.]+`(?:, )?)+))?", places):
            text = (PACKAGE / module).read_text(encoding="utf-8")
            for name in re.findall(r"`([\w.]+)`", names):
                assert re.search(rf"\b(def|class) {name.split('.')[-1]}\b|^{name}\b", text, re.M)


def test_the_renamed_modules_exist() -> None:
    _, _, modules = read_section("Renamed").partition("Modules, relative")
    rows = [row for row in read_rows(modules) if row[0].startswith("`")]
    assert len(rows) > 100
    for before, now in rows:
        assert not (PACKAGE / before.strip("`")).exists()
        for module in re.findall(r"`([^`]+)`", now):
            assert (PACKAGE / module).is_file(), module


def test_the_renamed_names_exist() -> None:
    names, _, _ = read_section("Renamed").partition("Modules, relative")
    places = [xlam_local, import_module("xlam_local.types"), import_module("xlam_local.errors")]
    for _, now in read_rows(names)[1:]:
        for name in re.findall(r"`([\w.]+)`", now):
            module, _, attribute = name.rpartition(".")
            found = [import_module(f"xlam_local.{module}")] if module else places
            assert any(hasattr(place, attribute) for place in found), name


def test_the_layers_name_every_package_and_module() -> None:
    layers = read_section("Layers")
    for path in PACKAGE.iterdir():
        if path.name.startswith("__") or path.suffix not in {"", ".py"}:
            continue
        assert f"`{path.stem}`" in layers, path.stem
