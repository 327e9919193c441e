from __future__ import annotations

from pathlib import Path

import pytest

from xlam_local.errors import ToolFileError
from xlam_local.tools.python.source_scan import scan_source
from xlam_local.types import Effect, Sandbox

FILE = '''
import os
from xlam_local import Effect, tool

ENV = ["CITY_KEY"]
SANDBOX = "isolated"
NETWORK = True
MEMORY_GIB = 0.5

os.abort()

@tool(Effect.READ, preview=lambda a: f"adds {a}")
def add(a: int) -> int:
    """Add.

    More.
    """

@tool
async def act() -> None: ...

def helper() -> None: ...
'''


def test_a_file_is_read_without_running_it(tmp_path: Path) -> None:
    scan = scan_source(FILE, tmp_path)
    assert [(tool.name, tool.effect, tool.summary) for tool in scan.functions] == [
        ("add", Effect.READ, "Add."),
        ("act", Effect.EXECUTE, ""),
    ]
    assert scan.env == ("CITY_KEY",)
    assert (scan.sandbox, scan.network, scan.memory_bytes) == (Sandbox.ISOLATED, True, 1 << 29)


def test_a_setting_may_have_an_annotation(tmp_path: Path) -> None:
    text = "SANDBOX: Final = 'isolated'\ndef f():\n  NETWORK = 1\nprint(MEMORY_GIB)\n"
    assert scan_source(text, tmp_path / "t.py").sandbox is Sandbox.ISOLATED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:", "is not valid Python: .* at line 1"),
        ("x = '\0'", "is not valid Python"),
        ("-" * 100_000 + "1", "is not valid Python: nested too deeply"),
        ("SANDBOX = 'strong'", 'line 1: SANDBOX must be "none", "limits" or "isolated"'),
        ("SANDBOX: str = 'strong'", "line 1: SANDBOX must be"),
        ("NETWORK = 1", "line 1: NETWORK must be True or False"),
        ("ENV = 'HOME'", "line 1: ENV must be a list of names"),
        ("ENV = names()", "line 1: ENV must be a list of names"),
        ("MEMORY_GIB = 'all'", "line 1: MEMORY_GIB must be a number of GiB"),
        ("if True:\n  SANDBOX = 'isolated'", "line 2: SANDBOX must be assigned in a statement of"),
        ("SANDBOX = NETWORK = 'isolated'", "must be assigned in a statement of its own"),
        ("NETWORK, x = True, 1", "must be assigned in a statement of its own"),
    ],
)
def test_an_invalid_file_raises_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ToolFileError, match=message):
        scan_source(text, tmp_path / "tools.py")
