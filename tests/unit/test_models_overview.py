"""The list of all models, with how each would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import gguf_files
from tests.fakes.model_store import install_xlam, new_store
from xlam_local.hardware import GIB, Device, Machine
from xlam_local.models import Store, import_gguf
from xlam_local.models.catalog import XLAM
from xlam_local.models.describe import describe_file
from xlam_local.models.overview import ModelRow, model_rows
from xlam_local.models.pick import recommend
from xlam_local.models.store import list_installed

LAPTOP = Machine("laptop", 8 * GIB, 6 * GIB, 4)
WORKSTATION = Machine("workstation", 64 * GIB, 60 * GIB, 8, (Device("GPU", 24 * GIB, 23 * GIB),))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def by_name(store: Store, machine: Machine | None) -> dict[str, ModelRow]:
    return {row.name: row for row in model_rows(store, machine, 8192)}


def test_each_model_of_the_catalog_fits_or_does_not(store: Store) -> None:
    rows = by_name(store, LAPTOP)
    assert rows["xlam-2-1b:Q4_K_M"].fits == "fits"
    assert rows["xlam-2-8b:Q4_0"].fits == "tight"
    assert rows["xlam-2-8b:F16"].fits == "no"
    assert rows["xlam-2-8b:F16"].plan is not None
    assert rows["xlam-2-70b"].fits == "no GGUF"
    assert rows["xlam-2-1b:Q4_K_M"].tokens_per_s > rows["xlam-2-3b:Q4_K_M"].tokens_per_s > 0
    assert by_name(store, WORKSTATION)["xlam-2-8b:Q8_0"].fits == "fits on GPU"


def test_one_model_is_recommended(store: Store) -> None:
    recommended = [name for name, row in by_name(store, LAPTOP).items() if row.recommended]
    assert recommended == [recommend(XLAM, LAPTOP).best.name]
    tiny = Machine("tiny", GIB, GIB // 2, 1)
    assert not any(row.recommended for row in model_rows(store, tiny, 8192))


def test_nothing_is_known_about_the_fit_before_the_machine_is_measured(store: Store) -> None:
    rows = by_name(store, None)
    assert rows["xlam-2-1b:Q4_K_M"].fits == "…"
    assert not any(row.recommended for row in rows.values())


def test_installed_models_come_first(store: Store, qwen_path: Path) -> None:
    list(import_gguf.link(qwen_path, store, "mine"))
    damaged = install_xlam(store)
    rows = model_rows(store, LAPTOP, 8192)
    assert [row.name for row in rows[:2]] == ["mine", "xlam-2-1b:Q4_K_M"]
    assert rows[0].fits == "fits"
    assert rows[0].installed is not None
    # The file has no layers, so it cannot be loaded.
    assert rows[1].fits.startswith("damaged: ")
    assert damaged.is_file()
    assert [row.name for row in rows].count("xlam-2-1b:Q4_K_M") == 1


def test_the_user_s_models_have_an_unknown_fit(store: Store) -> None:
    store.config.mkdir()
    (store.config / "models.toml").write_text('[mine]\nrepo = "a/b"\nfile = "c-{q}.gguf"\n')
    row = by_name(store, LAPTOP)["mine:Q4_K_M"]
    assert (row.fits, row.size, row.plan) == ("?", None, None)


def test_an_installed_file_is_described(store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "mine.gguf", layers=3, general__name="Mine")
    list(import_gguf.link(path, store))
    file = describe_file(list_installed(store)[0])
    assert (file.architecture, file.name, file.layers) == ("qwen2", "Mine", 3)
    assert file.trained_context == 32768
    assert file.template is None
