"""The chat templates of many model families, read from llama.cpp's sources."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.fakes.resources import TEMPLATE_TEST, fetch

TEST_CASE = re.compile(
    r'\.name= \*/ +"(?P<name>[^"]+)",\s+/\* \.template_str= \*/(?P<literals>(?:\s*(?:u8)?'
    r'(?:R"\((?:.|\n)*?\)"|"(?:[^"\\]|\\.)*"))+)'
)
LITERAL = re.compile(r'R"\((?P<raw>(?:.|\n)*?)\)"|"(?P<text>(?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def read_all() -> dict[str, str]:
    """Return the chat templates by the names of their models."""
    folder = fetch("chat-templates")
    templates = {
        path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))
    }
    program = (folder / TEMPLATE_TEST).read_text(encoding="utf-8")
    return templates | dict(_in_test_cases(program))


def _in_test_cases(program: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the templates of the test cases in a C++ program."""
    for case in TEST_CASE.finditer(program):
        literals = LITERAL.finditer(case["literals"])
        yield case["name"], "".join(one["raw"] or _unescaped(one["text"] or "") for one in literals)


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else ESCAPES.get(code, code)

    return ESCAPE.sub(character, text)
