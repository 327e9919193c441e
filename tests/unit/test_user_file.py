"""Files that a user names: each fault is one sentence with the file's name and a place in it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xlam_local import user_file
from xlam_local.errors import UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": "café"}'.encode("latin-1"), r"is not UTF-8: byte 10 is 0xe9\. Save it as UTF-8"),
        (b"\xef\xbb\xbfa\xe9", r"is not UTF-8: byte 4 is 0xe9"),
        (b"{}\xe2\x82", r"is not UTF-8: byte 2 is 0xe2"),
        (b'"\xed\xa0\xbd"', r"is not UTF-8: byte 1 is 0xed"),
        ("{}".encode("utf-16"), r"is not UTF-8, but UTF-16"),
        ("{}".encode("utf-32"), r"is not UTF-8, but UTF-32"),
        (b"\xfe\xff\0{\0}", r"is not UTF-8, but UTF-16"),
        ("{}".encode("utf-16-le"), r"is not UTF-8 text: byte 1 is zero\. If it is UTF-16"),
        (b"PK\x03\x04\0\0", r"is not UTF-8 text: byte 4 is zero"),
        (b"GGUF\x03\0\0\0", r"is not UTF-8 text: byte 5 is zero"),
    ],
)
def test_another_encoding_is_named_with_its_byte(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"file\.json " + message):
        user_file.read_text(path)


@pytest.mark.parametrize("text", ["", "{}", "ä\r\n€", "a\x0bb\u2028c", "\U0001f600"])
def test_utf_8_is_read_with_and_without_a_byte_order_mark(path: Path, text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_bytes(text.encode(encoding))
        assert user_file.read_text(path) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value at line 1, column 1"),
        ('{"a": 1,\n}', "at line 2, column 1"),
        ('{"a": "b" "c"}', "at line 1, column 11"),
        ("[" * 3000 + "]" * 3000, "nested more than 200 levels deep"),
        ("[" * 100_000, "nested more than 200 levels deep"),
        ('{"a":' * 250 + "1" + "}" * 250, "nested more than 200 levels deep"),
        ("9" * 5000, "an integer with more than 4300 digits"),
        ('{"a": [-' + "9" * 5000 + "]}", "an integer with more than 4300 digits"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        ("[1e999]", "the number 1e999 is too large"),
        ("[" + "9" * 400 + ".0]", "the number 9{60}… is too large"),
        ('{"a": 1, "b": 2, "a": 3}', "an object has the key 'a' twice"),
        ('[{"x": {"\\u0061": 1, "a": 1}}]', "an object has the key 'a' twice"),
        ('{"a": ["x", "\\ud83d"]}', "half of a surrogate pair at /a/1"),
        ('{"a": {"\\udc00": 1}}', "half of a surrogate pair at /a"),
        ('"\\uDE00\\uD83D"', "half of a surrogate pair at /"),
    ],
)
def test_what_is_no_json_is_named(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"file\.json .*{message}"):
        user_file.read_json(path)


def test_what_is_json_is_read(path: Path) -> None:
    path.write_text('{"a": [1.5e3, -0.0, 12345678901234567890, "\\ud83d\\ude00", null]}')
    assert user_file.read_json(path) == {
        "a": [1500.0, 0.0, 12345678901234567890, "\U0001f600", None]
    }
    assert user_file.parse_json('"\\ud83d"', "x", surrogates=True) == "\ud83d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ?\n", "is not valid TOML: .*line 1, column 5"),
        ("a = 1\na = 2\n", "is not valid TOML: Cannot overwrite"),
        ('a = "\\ud83d"', "is not valid TOML"),
        ("a = " + "9" * 5000, "an integer with more than 4300 digits"),
        ("a = " + "[" * 3000, "nested more than 200 levels deep"),
        (".".join("a" * 3000) + " = 1", "nested more than 200 levels deep"),
    ],
)
def test_what_is_no_toml_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=rf"^file\.toml .*{message}"):
        user_file.parse_toml(text, "file.toml")


def test_what_is_not_a_file_is_named_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for path, message in {
        tmp_path: "is a folder, not a file",
        tmp_path / "pipe": "is a named pipe, not a file",
        Path("/dev/zero"): "is a device, not a file",
        tmp_path / "link": "is a link to nowhere, which does not exist",
        tmp_path / "loop": "cannot be read: Too many levels of symbolic links",
        tmp_path / "none": "does not exist",
        tmp_path / ("x" * 300): "cannot be read: File name too long",
        tmp_path / "a\0b": "is not a valid path",
        tmp_path / "\ud800": "is not a valid path",
    }.items():
        with pytest.raises(UsageError, match=message):
            user_file.read_bytes(path)


def test_a_file_that_is_too_large_is_named(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(user_file.MAX_FILE_BYTES + 1)
    with pytest.raises(UsageError, match="is larger than 67,108,864 bytes"):
        user_file.read_bytes(path)
    path.write_bytes(b"abc")
    assert user_file.read_bytes(path, 3) == b"abc"
    with pytest.raises(UsageError, match="is larger than 2 bytes"):
        user_file.read_bytes(path, 2)


def test_a_pipe_given_by_its_descriptor_is_read() -> None:
    read_end, write_end = os.pipe()
    program = f"import os; os.write({write_end}, b'a'); os.write({write_end}, b'b')"
    with subprocess.Popen([sys.executable, "-c", program], pass_fds=[write_end]):
        os.close(write_end)
        assert user_file.read_text(Path(f"/dev/fd/{read_end}")) == "ab"
    os.close(read_end)


def test_lines_have_their_number_and_their_byte() -> None:
    lines = user_file.read_lines(io.BytesIO(b"\xef\xbb\xbf{}\n\n \n[]\n\xe9\n"), "x.jsonl")
    assert next(lines) == ("x.jsonl, line 1,", "{}\n")
    assert next(lines) == ("x.jsonl, line 4,", "[]\n")
    with pytest.raises(UsageError, match=r"x\.jsonl, line 5, is not UTF-8: byte 12 is 0xe9"):
        next(lines)


def test_each_line_may_begin_with_a_byte_order_mark() -> None:
    mark = b"\xef\xbb\xbf"
    lines = user_file.read_lines(io.BytesIO(mark + b"[1]\n" + mark + b"[2]\n"), "x.jsonl")
    assert [text for _, text in lines] == ["[1]\n", "[2]\n"]


def test_a_file_of_this_program_that_cannot_be_read_counts_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert user_file.read_own_json(path) is None
    for content in (b"[" * 100_000, b"9" * 5000, b"\xff", b"", b"{"):
        path.write_bytes(content)
        assert user_file.read_own_json(path) is None
    path.write_bytes(b'{"a": 1}')
    assert user_file.read_own_json(path) == {"a": 1}
    path.unlink()
    os.mkfifo(path)
    assert user_file.read_own_json(path) is None
