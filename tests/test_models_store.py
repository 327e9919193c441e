from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import gguf_files
from xlam_local import models
from xlam_local.errors import IntegrityError, ModelMissing, UsageError
from xlam_local.models import Installed, Store, cache, catalog, checks, removal, sources, templates
from xlam_local.models.checks import Verdict
from xlam_local.models.digest import digest, keep_marks
from xlam_local.models.names import OnHub
from xlam_local.models.types import amount, hub_cache

XLAM_1B = catalog.XLAM[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "hub", tmp_path / "data", tmp_path / "config")


def put(
    store: Store, repo: str, file: str, size: int = 4096, seed: int = 0, commit: str = "c" * 40
) -> Path:
    """A model as if it had been fetched."""
    made = gguf_files.write(store.hub / "made.gguf", size, seed)
    steps = digest(made)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found = stop.value
            break
    keep_marks(found, store)
    blob = cache.blob(store.hub, repo, found.sha256())
    blob.parent.mkdir(parents=True, exist_ok=True)
    made.rename(blob)
    return cache.place(store.hub, OnHub(repo, file), commit, found.sha256())


def xlam(store: Store, quantization: str = "Q4_K_M", size: int = 4096, seed: int = 0) -> Path:
    assert XLAM_1B.repo
    return put(store, XLAM_1B.repo, XLAM_1B.file(quantization), size, seed)


def imported(store: Store, path: Path, name: str | None = None) -> Path:
    *_, last = models.import_(path, store, name)
    assert last.path is not None
    return last.path


def verdicts(model: Installed, store: Store) -> list[Verdict]:
    return [step for step in checks.verify(model, store) if isinstance(step, Verdict)]


def test_an_empty_store_says_how_to_fill_it(store: Store) -> None:
    assert models.installed(store) == []
    with pytest.raises(ModelMissing, match="xlam-local models pull xlam-2-1b"):
        models.default(store)


@pytest.mark.parametrize(
    "typed",
    [
        "xlam-2-1b",
        "xLAM-2-1B",
        "xlam-2-1b:Q4_K_M",
        "xlam-2-1b:q4_k_m",
        "hf:Salesforce/xLAM-2-1b-fc-r-gguf:xLAM-2-1B-fc-r-Q4_K_M.gguf",
        "hf:salesforce/xlam-2-1b-fc-r-gguf:xlam-2-1b-fc-r-q4_k_m.gguf",
        "hf:Salesforce/xLAM-2-1b-fc-r-gguf:Q4_K_M",
    ],
)
def test_an_installed_model_is_found_by_every_name(typed: str, store: Store) -> None:
    path = xlam(store)
    assert models.find(typed, store) == path


def test_a_file_is_found_by_its_path(store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "mine.gguf")
    assert models.find(str(path), store) == path


def test_without_a_quantization_the_usual_one_is_taken_else_the_largest(store: Store) -> None:
    large = xlam(store, "Q8_0", 9000, seed=1)
    xlam(store, "Q2_K", 5000, seed=2)
    assert models.find("xlam-2-1b", store) == large
    usual = xlam(store, "Q4_K_M", 6000, seed=3)
    assert models.find("xlam-2-1b", store) == usual


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("xlam-2-1b", "`xlam-local models pull xlam-2-1b` brings it"),
        ("xlam-2-3b:Q5_K_M", "`xlam-local models pull xlam-2-3b:Q5_K_M` brings it"),
        ("xlam-2-1b:Q9", "has no quantization Q9; there are: F16, Q8_0"),
        ("xlam2-1b", "the nearest name is xlam-2-1b"),
        ("gibberish", "`xlam-local models list` shows what there is"),
        ("hf:a/b:c.gguf", "`xlam-local models pull hf:a/b:c.gguf` brings it"),
        ("nowhere/none.gguf", "There is no file nowhere/none.gguf"),
        ("xlam-2-70b", "Salesforce publishes no GGUF of it"),
    ],
)
def test_a_model_that_is_not_here_says_what_to_do(typed: str, message: str, store: Store) -> None:
    with pytest.raises(ModelMissing, match=message):
        models.find(typed, store)


@pytest.mark.parametrize(
    "typed", ["hf:a", "hf:a/../b:c", "hf:/a/b:c", "hf:a/b:../c.gguf", "hf:a/b:/etc/passwd"]
)
def test_a_name_that_leads_elsewhere_is_refused(typed: str, store: Store) -> None:
    with pytest.raises(UsageError):
        models.find(typed, store)


@pytest.mark.parametrize("file", ["../../evil.gguf", "/etc/evil.gguf", "a//b.gguf", "a\\b.gguf"])
def test_a_file_name_from_a_server_stays_in_its_folder(file: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="outside of its repository"):
        cache.snapshot(tmp_path, "a/b", "c" * 40, file)


def test_the_default_is_an_xlam_before_larger_ones_and_the_demo_is_last(
    store: Store, tmp_path: Path
) -> None:
    assert catalog.DEMO.repo
    demo = put(store, catalog.DEMO.repo, catalog.DEMO.file("Q4_1"), 90_000)
    assert models.default(store) == demo
    other = put(store, "someone/other-gguf", "other.gguf", 50_000, seed=1)
    assert models.default(store) == other
    small = xlam(store, "Q2_K", 5000, seed=2)
    assert models.default(store) == small
    large = xlam(store, "Q8_0", 9000, seed=3)
    assert models.default(store) == large


def test_a_used_model_says_when(store: Store) -> None:
    path = xlam(store)
    assert models.installed(store)[0].used is None
    models.mark_used(path, store)
    assert models.installed(store)[0].used is not None


def test_an_imported_file_shares_its_bytes(store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "my model.gguf")
    placed = imported(store, path)
    assert models.find("my-model", store) == placed
    assert placed.samefile(path)
    assert imported(store, path) == placed


def test_a_copied_file_does_not(store: Store, tmp_path: Path) -> None:
    from xlam_local.models import imports

    path = gguf_files.write(tmp_path / "mine.gguf")
    *_, last = imports.copy(path, store, "other-name")
    assert last.path is not None
    assert not last.path.samefile(path)
    assert last.path.read_bytes() == path.read_bytes()
    assert models.find("other-name", store) == last.path


def test_the_parts_of_a_split_model_are_one(store: Store, tmp_path: Path) -> None:
    files = [
        gguf_files.write(tmp_path / f"big-0000{number}-of-00003.gguf", seed=number)
        for number in (1, 2, 3)
    ]
    placed = imported(store, files[1])
    (model,) = models.installed(store)
    assert model.name == "big"
    assert model.path == placed
    assert model.path.name == "big-00001-of-00003.gguf"
    assert model.size == sum(file.stat().st_size for file in files)
    model.files[2].unlink()
    with pytest.raises(ModelMissing, match="Parts of big are missing"):
        models.find("big", store)


def test_a_part_that_is_missing_stops_an_import(store: Store, tmp_path: Path) -> None:
    first = gguf_files.write(tmp_path / "big-00001-of-00002.gguf")
    with pytest.raises(ModelMissing, match=r"big-00002-of-00002\.gguf"):
        imported(store, first)
    assert not store.hub.exists()


@pytest.mark.parametrize("name", ["xlam-2-1b", "demo", "../evil", "a--b", "", "a/b"])
def test_a_name_that_is_taken_or_none_is_refused(name: str, store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "demo.gguf")
    with pytest.raises(UsageError):
        imported(store, path, name)


def test_another_file_does_not_take_a_name_over(store: Store, tmp_path: Path) -> None:
    imported(store, gguf_files.write(tmp_path / "mine.gguf"))
    other = gguf_files.write(tmp_path / "other" / "mine.gguf", seed=1)
    with pytest.raises(UsageError, match="Another model has the name mine"):
        imported(store, other)


def test_a_file_that_is_not_gguf_is_not_imported(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>")
    with pytest.raises(IntegrityError, match=r"page\.gguf: magic"):
        imported(store, path)
    assert not store.hub.exists()


def test_a_model_that_is_right_is_said_to_be(store: Store) -> None:
    xlam(store)
    (model,) = models.installed(store)
    assert [verdict.right for verdict in verdicts(model, store)] == [True]


def test_a_wrong_byte_is_found(store: Store) -> None:
    path = xlam(store, size=20 << 20)
    with path.open("r+b") as file:
        file.seek(12_345_678)
        file.write(b"damage")
    (verdict,) = verdicts(models.installed(store)[0], store)
    assert not verdict.right
    assert "among 8388608 to 16777215 (tensors token_embd.weight" in verdict.why


def test_a_file_that_was_cut_says_where(store: Store) -> None:
    path = xlam(store, size=20 << 20)
    os.truncate(path, 16 << 20)
    (verdict,) = verdicts(models.installed(store)[0], store)
    assert "it ends at byte 16777216, too early" in verdict.why


def test_without_marks_a_damaged_file_is_still_seen(store: Store) -> None:
    path = xlam(store)
    for mark in (store.data / "marks").iterdir():
        mark.unlink()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    (verdict,) = verdicts(models.installed(store)[0], store)
    assert "has the SHA-256" in verdict.why


def test_removing_gives_the_disk_back(store: Store) -> None:
    path = xlam(store)
    size = path.stat().st_size
    assert removal.remove(models.installed(store)[0], store) == size
    assert models.installed(store) == []
    assert not [one for one in store.hub.rglob("*") if one.is_file()]


def test_removing_keeps_a_blob_that_another_name_points_to(store: Store) -> None:
    assert XLAM_1B.repo
    path = xlam(store)
    other = cache.place(store.hub, OnHub(XLAM_1B.repo, "copy.gguf"), "c" * 40, path.resolve().name)
    model = models.get("xlam-2-1b", store)
    assert removal.remove(model, store) == 0
    assert not path.exists()
    assert other.is_file()


def test_removing_an_imported_model_leaves_the_file_it_came_from(
    store: Store, tmp_path: Path
) -> None:
    path = gguf_files.write(tmp_path / "mine.gguf")
    imported(store, path)
    assert removal.remove(models.get("mine", store), store) == 0
    assert path.is_file()
    assert models.installed(store) == []


def test_pruning_deletes_what_broken_fetches_left_and_nothing_else(store: Store) -> None:
    path = xlam(store)
    blobs = path.resolve().parent
    for name in ("a" * 64 + ".incomplete", "b" * 64 + ".1234abcd.incomplete", "d" * 64):
        (blobs / name).write_bytes(b"123")
    other = store.hub / "models--someone--bert" / "blobs" / ("e" * 64 + ".incomplete")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"123")
    assert len(removal.leftovers(store)) == 3
    assert removal.prune(store) == 9
    assert removal.leftovers(store) == []
    assert path.is_file()
    assert other.is_file()


def test_pruning_takes_older_revisions_when_it_is_asked_to(store: Store) -> None:
    repo, file = "someone/some-gguf", "model.gguf"
    old = put(store, repo, file, seed=1, commit="a" * 40)
    only = put(store, repo, "only-here.gguf", seed=2, commit="a" * 40)
    new = put(store, repo, file, seed=3, commit="b" * 40)
    size = old.stat().st_size
    assert [(one.path, one.size) for one in removal.older(store)] == [(old, size)]
    assert removal.prune(store) == 0
    assert old.is_file()
    assert removal.prune(store, with_older=True) == size
    assert not old.exists()
    assert only.is_file()
    assert new.is_file()
    assert removal.older(store) == []


def test_an_older_name_of_the_same_bytes_frees_none(store: Store) -> None:
    old = put(store, "someone/some-gguf", "model.gguf", commit="a" * 40)
    new = put(store, "someone/some-gguf", "model.gguf", commit="b" * 40)
    assert [(one.path, one.size) for one in removal.older(store)] == [(old, 0)]
    assert removal.prune(store, with_older=True) == 0
    assert new.is_file()
    assert not old.parent.exists()


def test_pruning_leaves_what_is_being_fetched(store: Store) -> None:
    from filelock import FileLock

    path = xlam(store)
    blob = path.resolve().with_name("a" * 64)
    blob.with_name(f"{blob.name}.incomplete").write_bytes(b"123")
    cache.lock_of(blob).parent.mkdir(parents=True)
    with FileLock(cache.lock_of(blob)):
        assert removal.leftovers(store) == []
    assert len(removal.leftovers(store)) == 1


def test_entries_of_the_user_stand_in_the_catalog(store: Store) -> None:
    store.config.mkdir()
    (store.config / "models.toml").write_text(
        '[mine]\nrepo = "me/mine-gguf"\nfile = "mine-{q}.gguf"\nquantizations = ["Q8_0"]\n'
    )
    path = put(store, "me/mine-gguf", "mine-Q8_0.gguf")
    assert models.find("mine:Q8_0", store) == models.find("mine", store) == path
    with pytest.raises(ModelMissing, match="no quantization Q4_K_M; there are: Q8_0"):
        models.find("mine:Q4_K_M", store)


@pytest.mark.parametrize(
    ("listed", "usual"),
    [(["q8_0", "q4_k_m"], "q4_k_m"), (["Q8_0", "F16"], "Q8_0"), ([], "Q4_K_M")],
)
def test_the_usual_quantization_is_one_that_there_is(listed: list[str], usual: str) -> None:
    model = catalog.Model("mine", "", 0.0, (), files={q: catalog.File() for q in listed})
    assert model.usual == usual


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mine", "is not TOML"),
        ('[mine]\nrepo = "a/b"', "mine needs file"),
        ('[demo]\nrepo = "a/b"\nfile = "c"', "built in"),
        ('[mine]\nrepo = "a/b"\nfile = "c"\nsize = 3', "unknown key size"),
        ("mine = 3", "has to be a table"),
    ],
)
def test_an_entry_that_is_wrong_says_what(text: str, message: str, store: Store) -> None:
    store.config.mkdir()
    (store.config / "models.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        models.installed(store)


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
def test_a_conversion_has_the_licence_of_its_xlam(name: str, model: str | None) -> None:
    found = sources.licensed(name, catalog.BUILT_IN)
    assert (found and found.name) == model


def test_the_template_of_a_stranger_is_not_compared(tmp_path: Path) -> None:
    from xlam_local.models import gguf

    path = gguf_files.write(tmp_path / "a.gguf", general__name="Other")
    assert templates.compare(gguf.read(path)) is None


def test_a_template_that_writes_another_prompt_is_shown(tmp_path: Path) -> None:
    from xlam_local.models import gguf

    template = "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}{% endfor %}"
    path = gguf_files.write(
        tmp_path / "a.gguf", general__name="xLAM 2 1b", tokenizer__chat_template=template
    )
    found = templates.compare(gguf.read(path))
    assert found is not None
    assert not found.same
    assert "+<|im_start|>system: Be brief." in found.difference


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HF_HOME": "/b", "HF_HUB_CACHE": "/a"}, "/a"),
        ({}, str(Path.home() / ".cache/huggingface/hub")),
    ],
)
def test_the_cache_is_where_huggingface_has_it(variables: dict[str, str], place: str) -> None:
    assert hub_cache(variables) == Path(place)


@pytest.mark.parametrize(
    ("size", "text"),
    [(7, "7 bytes"), (986_048_192, "986 MB"), (1_929_902_656, "1.9 GB"), (999_999, "1 MB")],
)
def test_amounts_are_written_as_people_do(size: int, text: str) -> None:
    assert amount(size) == text
