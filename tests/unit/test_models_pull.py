"""Which files of a Hub repository a name means."""

from __future__ import annotations

import pytest

from xlam_local.errors import ModelMissing
from xlam_local.models.model_names import HubFile
from xlam_local.models.pull_model import match_files

FILES = [
    *("model-Q4_K_M.gguf", "model-Q8_0.gguf", "mmproj-model-Q8_0.gguf", "MMPROJ-f16.gguf"),
    *("model.imatrix.gguf", "big-BF16-00001-of-00002.GGUF", "big-BF16-00002-of-00002.GGUF"),
]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("model-Q4_K_M.gguf", FILES[:1]),
        ("MODEL-q8_0.GGUF", FILES[1:2]),
        ("Q8_0", FILES[1:2]),
        ("q4", FILES[:1]),
        ("BF16", FILES[5:]),
        ("big-BF16-00002-of-00002.GGUF", FILES[5:]),
    ],
)
def test_a_name_matches_one_model(name: str, files: list[str]) -> None:
    assert match_files(HubFile("owner/repo", name), FILES) == files


@pytest.mark.parametrize("name", ["mmproj-model-Q8_0.gguf", "mmproj", "MMPROJ-f16.gguf"])
def test_an_encoder_of_images_is_no_model(name: str) -> None:
    with pytest.raises(ModelMissing, match="is no language model but an mmproj file"):
        match_files(HubFile("owner/repo", name), FILES)


@pytest.mark.parametrize("name", ["", "model", "Q5"])
def test_a_name_that_matches_no_or_several_models_is_an_error(name: str) -> None:
    with pytest.raises(ModelMissing, match="does not match exactly one file") as error:
        match_files(HubFile("owner/repo", name), FILES)
    assert "mmproj" not in str(error.value).casefold().partition("has:")[2]
