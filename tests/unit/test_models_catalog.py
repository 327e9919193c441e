"""The catalog: the user's entries in models.toml, and licenses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.model_store import XLAM_1B, install, new_store
from xlam_local import models
from xlam_local.errors import ModelMissing, UsageError
from xlam_local.models import Store, licenses
from xlam_local.models.catalog import BUILT_IN, CatalogModel, PublishedFile
from xlam_local.models.user_catalog import load_catalog


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def write_models_toml(store: Store, text: str) -> None:
    store.config.mkdir()
    (store.config / "models.toml").write_text(text, encoding="utf-8")


def test_the_user_can_add_models_to_the_catalog(store: Store) -> None:
    write_models_toml(
        store,
        '[mine]\nrepo = "me/mine-gguf"\nfile = "mine-{q}.gguf"\nquantizations = ["Q8_0"]\n'
        'license = "cc-by-nc-4.0"\nnote = "A test."\n',
    )
    path = install(store, "me/mine-gguf", "mine-Q8_0.gguf")
    assert models.find_path("mine:Q8_0", store) == models.find_path("mine", store) == path
    with pytest.raises(ModelMissing, match="no quantization Q4_K_M; it has: Q8_0"):
        models.find_path("mine:Q4_K_M", store)
    model = load_catalog(store.config)[-1]
    assert (model.licenses, model.note) == (("cc-by-nc-4.0",), "A test.")


@pytest.mark.parametrize(
    ("quantizations", "default"),
    [(["q8_0", "q4_k_m"], "q4_k_m"), (["Q8_0", "F16"], "Q8_0"), ([], "Q4_K_M")],
)
def test_the_default_quantization_is_q4_k_m_or_else_the_first(
    quantizations: list[str], default: str
) -> None:
    files = {quantization: PublishedFile() for quantization in quantizations}
    assert CatalogModel(name="mine", title="", files=files).default_quantization == default


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mine", "not valid TOML"),
        ('[mine]\nrepo = "a/b"', r"models\.toml: \[mine\]: file is required"),
        ('[demo]\nrepo = "a/b"\nfile = "c"', "demo is the name of a built-in model"),
        ('[mine]\nrepo = "a/b"\nfile = "c"\nsize = 3', r"\[mine\]: Unknown key 'size'"),
        ('[mine]\nrepo = "a/b"\nfile = "c"\nlicence = "mit"', "Unknown key 'licence'"),
        ('[mine]\nrepo = 3\nfile = "c"', "repo must be a string, not 3"),
        ('[mine]\nrepo = ""\nfile = "c"', "repo must be a string that is not empty"),
        ('[mine]\nrepo = "a/b"\nfile = "c"\nquantizations = [4]', "quantizations must be"),
        ("mine = 3", "mine must be a table"),
    ],
)
def test_an_invalid_entry_is_an_error(text: str, message: str, store: Store) -> None:
    write_models_toml(store, text)
    with pytest.raises(UsageError, match=message):
        models.list_installed(store)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("xlam-2-1b", "xlam-2-1b"),
        ("hf:Salesforce/Llama-xLAM-2-8b-fc-r-gguf:Q4_K_M", "xlam-2-8b"),
        ("hf:mradermacher/xLAM-2-32b-fc-r-i1-GGUF:Q4_K_M", "xlam-2-32b"),
        ("hf:Qwen/Qwen2.5-0.5B-GGUF:Q4_K_M", None),
        ("xlam-2-70b", None),
    ],
)
def test_the_license_of_an_xlam_applies_to_its_conversions(name: str, model: str | None) -> None:
    holder = licenses.license_holder(name, BUILT_IN)
    assert (holder and holder.name) == model


def test_a_license_is_accepted_once(store: Store) -> None:
    (license_,) = licenses.pending(XLAM_1B, store)
    assert license_.key == "cc-by-nc-4.0"
    with pytest.raises(licenses.LicenseNotAccepted, match="models pull xlam-2-1b --accept-license"):
        licenses.require_accepted(XLAM_1B, store)
    licenses.accept([license_], store)
    licenses.require_accepted(XLAM_1B, store)
    assert licenses.pending(XLAM_1B, store) == []
