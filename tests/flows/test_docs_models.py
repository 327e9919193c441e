"""The page about models: its commands run, and its numbers are those of the code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import fake_hub, gguf_files
from tests.fakes.fake_hub import FakeHub
from tests.fakes.hub_user import HubUser
from xlam_local.models import format_bytes
from xlam_local.models.catalog import BUILT_IN, XLAM, XLAM_QUANTIZATIONS, CatalogModel
from xlam_local.models.disk import RESERVED_BYTES
from xlam_local.models.download import DISK_CHECK_INTERVAL_BYTES
from xlam_local.models.download_writer import BUFFER_BYTES, BUFFER_COUNT
from xlam_local.models.hub_errors import MAX_RETRY_AFTER_S, RETRY_STATUS_CODES
from xlam_local.models.pick import GOOD_TOKENS_PER_S, MIN_TOKENS_PER_S
from xlam_local.models.retry import MAX_BACKOFF_S, RetryPolicy
from xlam_local.models.user_catalog import FILE_NAME, KEYS, load_catalog

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[HubUser]:
    """A user with the model of the page on the Hub, and a GGUF file in the working folder."""
    monkeypatch.chdir(tmp_path)
    gguf_files.write(tmp_path / "some-model.gguf", seed=1)
    model = next(model for model in XLAM if model.name == "xlam-2-3b")
    with fake_hub.running(FakeHub()) as hub:
        for number, quantization in enumerate(("Q4_K_M", "Q5_K_M")):
            file = model.file_name(quantization)
            path = gguf_files.write(tmp_path / "origin" / file, seed=number)
            hub.add(str(model.repo), path)
        hub.add("someone/some-model-gguf", path, "some-model-Q4_K_M.gguf")
        yield HubUser(tmp_path / "user", hub, monkeypatch, capsys)


@pytest.mark.slow
def test_every_command_of_the_page_runs(user: HubUser) -> None:
    lines = [line for line in "".join(blocks("sh")).splitlines() if "xlam-local" in line]
    assert len(lines) >= 18
    for line in lines:
        words = shlex.split(line, comments=True)
        variables = dict(word.split("=") for word in words[: words.index("xlam-local")])
        arguments, _, output = " ".join(words[words.index("xlam-local") + 1 :]).partition(" > ")
        done = user.run(*arguments.split(), **variables)
        assert done.code == 0 or arguments.startswith("doctor"), (line, done.err)
        if output:
            Path(output).write_text(done.out, encoding="utf-8")


def test_the_python_of_the_page_runs(
    user: HubUser, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user.run("models", "pull", "xlam-2-3b", "--accept-license")
    (code,) = blocks("python")
    with user.environment_set():
        exec(compile(code, "models.md", "exec"), {})
    assert "['xlam-2-3b:Q4_K_M']" in capsys.readouterr().out


@pytest.mark.parametrize("model", BUILT_IN, ids=lambda model: model.name)
def test_the_table_of_models_is_the_catalog(model: CatalogModel) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{model.name}` |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    published = model.files.get("Q4_K_M")
    assert cells[1] == model.repo or cells[1].startswith("none")
    assert cells[2] == f"{model.billion_parameters:g} billion"
    assert cells[3] == (format_bytes(published.size or 0) if published else cells[3])
    assert model.shape is not None
    assert cells[4] == f"{model.shape.trained_context:,}"
    assert cells[5] == ", ".join(f"`{key}`" for key in model.licenses)


def test_the_table_of_quantizations_has_the_sizes_of_the_catalog() -> None:
    for quantization in XLAM_QUANTIZATIONS:
        sizes = [model.files[quantization].size for model in XLAM[:3]]
        if any(sizes):
            cells = " | ".join(format_bytes(size) if size else "" for size in sizes)
            assert f"| {quantization} | {cells} |".replace("|  |", "| |") in PAGE
        assert quantization in PAGE


def test_the_entry_of_the_page_is_valid_and_uses_every_key(tmp_path: Path) -> None:
    (entry,) = blocks("toml")
    (tmp_path / FILE_NAME).write_text(entry, encoding="utf-8")
    model = load_catalog(tmp_path)[-1]
    assert model.file_name("q8_0") == "qwen2.5-coder-1.5b-instruct-q8_0.gguf"
    for key in KEYS:
        assert f"\n{key} = " in entry
        assert f"| `{key}` |" in PAGE


@pytest.mark.parametrize(
    "text",
    [
        f"a kill loses at most {BUFFER_BYTES * BUFFER_COUNT >> 20} MiB",
        f"{RetryPolicy().initial_backoff_s:.0f} second, then twice as long each time, at most "
        f"{MAX_BACKOFF_S:.0f} seconds",
        f"(`Retry-After`), at most {MAX_RETRY_AFTER_S:.0f} seconds",
        f"After {RetryPolicy().max_attempts} failed attempts in a row",
        f"less than {RetryPolicy().min_bytes_per_s:,.0f} bytes per second for "
        f"{RetryPolicy().stall_window_s:.0f} seconds",
        f"{', '.join(map(str, RETRY_STATUS_CODES[:-1]))} and {RETRY_STATUS_CODES[-1]}",
        f"{RESERVED_BYTES >> 20} MiB of free disk space",
        f"every {DISK_CHECK_INTERVAL_BYTES >> 20} MiB",
        f"below {MIN_TOKENS_PER_S:.0f} tokens/s is recommended only if no other fits, a better "
        f"quantization only if it reaches {GOOD_TOKENS_PER_S:.0f} tokens/s",
        f"{len(XLAM_QUANTIZATIONS)} quantizations",
    ],
)
def test_the_numbers_of_the_page_are_those_of_the_code(text: str) -> None:
    assert text in TEXT
