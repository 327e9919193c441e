from __future__ import annotations

from pathlib import Path

from xlam_local.tools.result_files import MAX_RESULT_FILES, result_saver


def test_results_are_saved_in_files_and_the_oldest_are_deleted(tmp_path: Path) -> None:
    save = result_saver(tmp_path / "results")
    paths = [Path(save("../f\0", f"text {number}")) for number in range(MAX_RESULT_FILES + 3)]
    assert paths[-1].read_text() == f"text {MAX_RESULT_FILES + 2}"
    assert paths[-1].parent == tmp_path / "results"
    assert len(list((tmp_path / "results").iterdir())) == MAX_RESULT_FILES


def test_a_result_that_cannot_be_saved_has_no_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert result_saver(tmp_path / "file" / "results")("f", "text") == ""
