from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.engine_helpers import user_prompt
from xlam_local.atomic_file import lock
from xlam_local.cli import run_command
from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.prompt_cache import PromptCache, clear, entries, fingerprint
from xlam_local.engine.token_bytes import load_token_bytes
from xlam_local.errors import IntegrityError, XlamError
from xlam_local.types import GenerationEnd, Notice, Sampling, Usage

STATE = np.arange(1000, dtype=np.uint8)
LONG = "These words come before everything else. " * 60


@pytest.fixture
def cache(tmp_path: Path) -> PromptCache:
    return PromptCache(tmp_path / "cache", "key", "tiny", 1 << 20)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.kv"))


def test_a_saved_prompt_is_found_and_loaded(cache: PromptCache) -> None:
    assert cache.find([1, 2, 3]) == (None, 0)
    cache.save([1, 2, 3, 4], STATE)
    path, length = cache.find([1, 2, 3, 9, 9])
    assert path is not None
    assert length == 3
    tokens, state = cache.load(path)
    assert tokens == [1, 2, 3, 4]
    assert (state == STATE).all()


def test_the_longest_common_prefix_is_found(cache: PromptCache) -> None:
    for tokens in ([1, 2, 7], [1, 2, 3, 4], [5]):
        cache.save(tokens, STATE)
    path, length = cache.find([1, 2, 3, 4, 5])
    assert length == 4
    assert path is not None
    assert cache.load(path)[0] == [1, 2, 3, 4]


def test_a_longer_prompt_replaces_its_prefix(cache: PromptCache, tmp_path: Path) -> None:
    cache.save([1, 2], STATE)
    cache.save([1, 2, 3], STATE)
    cache.save([1, 9], STATE)
    assert sorted(entry.tokens for entry in entries(tmp_path / "cache")) == [2, 3]


def test_entries_with_another_key_are_not_found(cache: PromptCache, tmp_path: Path) -> None:
    cache.save([1, 2], STATE)
    other = PromptCache(tmp_path / "cache", "other", "tiny", 1 << 20)
    assert other.find([1, 2]) == (None, 0)


def test_the_least_recently_used_entries_are_evicted(tmp_path: Path) -> None:
    cache = PromptCache(tmp_path, "key", "tiny", 3500)
    for number in range(3):
        cache.save([number], STATE)
        for age, path in enumerate(sorted(files(tmp_path), key=os.path.getmtime, reverse=True)):
            os.utime(path, (1e9 - age, 1e9 - age))
    cache.save([3], STATE)
    assert cache.find([0])[1] == 0
    assert [cache.find([number])[1] for number in (2, 3)] == [1, 1]
    with pytest.raises(XlamError, match="more than the limit"):
        cache.save([4], np.zeros(9999, dtype=np.uint8))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "magic only": lambda data: data[:8],
    "empty": lambda data: b"",
    "one bit": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "tokens": lambda data: data.replace((3).to_bytes(4, "little"), (4).to_bytes(4, "little")),
    "another format": lambda data: b"something else entirely" * 100,
    "a long header": lambda data: data[:8] + b"\xff\xff\xff\x7f" + data[12:],
    "a deep header": lambda data: data[:8] + (9_000).to_bytes(4, "little") + b"[" * 9_000,
    "a huge count": lambda data: data.replace(b'"tokens": 3', b'"tokens": 9999999999'),
    "a negative count": lambda data: data.replace(b'"tokens": 3', b'"tokens": -3'),
    "another key": lambda data: data.replace(b'"key": "key"', b'"key": "kex"'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_rejected(cache: PromptCache, tmp_path: Path, damage: str) -> None:
    cache.save([1, 2, 3], STATE)
    (path,) = files(tmp_path / "cache")
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    cache.find([1, 2, 3])
    with pytest.raises(IntegrityError, match=r"is damaged\. It was deleted"):
        cache.load(path)
    assert not path.exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    cache = PromptCache(file / "cache", "key", "tiny", 1 << 20)
    assert cache.find([1]) == (None, 0)
    with pytest.raises(XlamError, match="cannot be cached"):
        cache.save([1], STATE)


def test_a_full_disk_leaves_no_unfinished_file(cache: PromptCache, tmp_path: Path) -> None:
    cache.save([1, 2], STATE)
    before = files(tmp_path / "cache")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(XlamError, match="cannot be cached"):
            cache.save([7, 8], STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files(tmp_path / "cache") == before
    assert not list((tmp_path / "cache").glob(".*"))


def test_the_unfinished_files_of_killed_programs_are_deleted(
    cache: PromptCache, tmp_path: Path
) -> None:
    cache.save([1], STATE)
    left, written = tmp_path / "cache" / ".left.part", tmp_path / "cache" / ".written.part"
    left.touch()
    with written.open("wb") as file:
        lock(file.fileno())
        cache.save([2], STATE)
        assert not left.exists()
        assert written.exists()


def test_a_fingerprint_depends_on_the_content(tmp_path: Path) -> None:
    one, same, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    one.write_bytes(bytes(3_000_000))
    shutil.copy(one, same)
    other.write_bytes(bytes(2_999_999) + b"x")
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def reply(engine: LocalEngine, text: str) -> tuple[str, Usage, list[Notice]]:
    written = user_prompt(engine, LONG + text)
    items = list(engine.generate(written, None, Sampling(max_tokens=12)))
    assert isinstance(items[-1], GenerationEnd)
    answer = "".join(item for item in items if isinstance(item, str))
    return answer, items[-1].usage, [item for item in items if isinstance(item, Notice)]


@pytest.fixture
def options(tmp_path: Path) -> LoadOptions:
    return LoadOptions(context_size=2048, threads=1, prompt_cache_folder=tmp_path / "prompts")


def test_a_restarted_engine_does_not_decode_the_prompt_again(
    qwen_path: Path, options: LoadOptions
) -> None:
    first = LocalEngine.load(qwen_path, options)
    answer, usage, _ = reply(first, "Question one?")
    assert usage.cached_tokens == 0
    first.close()
    for text, min_cached in (("Question one?", usage.prompt_tokens - 1), ("Another?", 400)):
        engine = LocalEngine.load(qwen_path, options)
        again, usage_again, notices = reply(engine, text)
        assert usage_again.cached_tokens >= min_cached
        assert not notices
        assert again == answer or text != "Question one?"
        engine.close()


def test_engines_with_other_options_do_not_load_the_prompt(
    qwen_path: Path, options: LoadOptions
) -> None:
    first = LocalEngine.load(qwen_path, options)
    reply(first, "One?")
    first.close()
    for other in (replace(options, gpu_layers=0), replace(options, prompt_cache_folder=None)):
        engine = LocalEngine.load(qwen_path, other)
        assert reply(engine, "One?")[1].cached_tokens == 0
        engine.close()


@pytest.mark.parametrize("damage", ["truncated", "one bit", "another format"])
def test_after_damage_a_notice_is_shown_and_the_prompt_decoded(
    qwen_path: Path, tmp_path: Path, damage: str
) -> None:
    options = LoadOptions(context_size=2048, threads=1, prompt_cache_folder=tmp_path)
    first = LocalEngine.load(qwen_path, options)
    answer, _, _ = reply(first, "One?")
    first.close()
    (path,) = files(tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    engine = LocalEngine.load(qwen_path, options)
    again, usage, notices = reply(engine, "One?")
    assert again == answer
    assert usage.cached_tokens == 0
    assert len(notices) == (damage != "another format")
    engine.close()


def test_a_cache_that_cannot_be_written_is_reported_once(qwen_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    options = LoadOptions(context_size=2048, threads=1, prompt_cache_folder=file / "prompts")
    engine = LocalEngine.load(qwen_path, options)
    notices = []
    for number in range(3):
        notices.append([notice.text for notice in reply(engine, f"{LONG} {number}")[2]])
        engine.save_prompts()
    assert notices == [[], ["The prompt cannot be cached: Not a directory."], []]
    engine.close()


def test_two_engines_can_share_one_cache(qwen_path: Path, tmp_path: Path) -> None:
    options = LoadOptions(context_size=2048, threads=1, prompt_cache_folder=tmp_path)
    engines: Sequence[LocalEngine] = [LocalEngine.load(qwen_path, options) for _ in range(2)]
    answers = [reply(engine, "One?")[0] for engine in engines]
    for engine in engines:
        engine.close()
    assert answers[0] == answers[1]
    assert len(files(tmp_path)) == 1


def test_the_command_shows_and_clears_the_cache(
    own_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_folders / "cache" / "prompts"
    PromptCache(folder, "key", "tiny", 1 << 20).save([1, 2, 3], STATE)
    (folder / "foreign.kv").write_text("?")
    assert run_command(["cache"]) == 0
    out, err = capsys.readouterr()
    assert "3 tokens for tiny" in out
    assert "unknown format" in out
    assert "2 cached prompts" in err
    assert run_command(["cache", "clear"]) == 0
    assert "Removed 2 cached prompts" in capsys.readouterr().out
    assert clear(folder) == (0, 0)


def test_the_bytes_of_tokens_are_cached_too(qwen_path: Path, tmp_path: Path) -> None:
    engine = LocalEngine.load(qwen_path, LoadOptions(context_size=256, threads=1))
    tokens = load_token_bytes(engine.model, None, "")
    assert tokens[0] == b"!"
    assert tokens[-1] == b"\xff<|im_end|>"
    assert load_token_bytes(engine.model, tmp_path, "key") == tokens
    (path,) = tmp_path.glob("*.tokens")
    assert load_token_bytes(engine.model, tmp_path, "key") == tokens
    data = path.read_bytes()
    for damaged in (data[:-1], b"", data[:100] + b"x" + data[101:]):
        path.write_bytes(damaged)
        assert load_token_bytes(engine.model, tmp_path, "key") == tokens
        assert path.read_bytes() == data
    engine.close()


def test_closing_during_a_reply_saves_its_prompt(qwen_path: Path, tmp_path: Path) -> None:
    options = LoadOptions(context_size=1024, threads=1, prompt_cache_folder=tmp_path)
    engine = LocalEngine.load(qwen_path, options)
    items = engine.generate(user_prompt(engine, LONG), None, Sampling(max_tokens=400))
    while not isinstance(next(items), str):
        pass
    engine.close()
    assert len(files(tmp_path)) == 1
