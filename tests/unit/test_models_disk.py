"""Errors of writing to a disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from xlam_local.errors import XlamError
from xlam_local.models.disk import check_free_space, write_errors


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "The disk is full at /folder. Free some space"),
        (errno.EDQUOT, "The disk is full at /folder"),
        (errno.EACCES, "Permission denied: /folder"),
        (errno.EROFS, "/folder is on a read-only file system"),
        (errno.EIO, "/folder/file cannot be written: "),
    ],
)
def test_an_error_of_the_system_is_a_sentence(number: int, message: str) -> None:
    with pytest.raises(XlamError, match=message), write_errors(Path("/folder/file")):
        raise OSError(number, os.strerror(number))


def test_too_little_free_space_is_an_error(tmp_path: Path) -> None:
    check_free_space(tmp_path / "not" / "there" / "yet", 1)
    with pytest.raises(XlamError, match=f"are free at {tmp_path}"):
        check_free_space(tmp_path / "not" / "there" / "yet", 1 << 60)
