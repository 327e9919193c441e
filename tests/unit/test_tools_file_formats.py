from __future__ import annotations

from pathlib import Path

import pytest

from xlam_local.errors import ToolFileError
from xlam_local.tools import load_schemas
from xlam_local.types import Tool


def test_tools_are_loaded_from_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    path.write_text('[{"name": "f"}]')
    assert load_schemas(path) == (Tool("f", "", {}),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"name": ]', "is not valid JSON: .* line 1, column 11"),
        (b"\xff", "is not UTF-8: byte 0"),
        (b"[{}]", "tools.json: The tool at /0 has no name"),
        (b"[" * 100_000, "nested more than 200 levels"),
        (b"[" + b"1" * 5000 + b"]", "has an integer with more than 4300 digits"),
        (b"[" + b" " * (4 << 20), "is larger than 4,194,304 bytes"),
    ],
)
def test_an_invalid_file_raises_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tools.json"
    path.write_bytes(content)
    with pytest.raises(ToolFileError, match=message):
        load_schemas(path)


def test_a_missing_file_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolFileError, match="does not exist"):
        load_schemas(tmp_path / "missing.json")
