from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xlam_local import prompt
from xlam_local.cli import run_command
from xlam_local.engine import Settings
from xlam_local.engine.local import Engine
from xlam_local.engine.pieces import pieces
from xlam_local.engine.prefixes import Prefixes, clear, fingerprint, listed
from xlam_local.errors import IntegrityError, XlamError
from xlam_local.types import End, Note, Prompt, Sampling, Usage, User

STATE = np.arange(1000, dtype=np.uint8)
LONG = "These words stand before everything else. " * 60


@pytest.fixture
def kept(tmp_path: Path) -> Prefixes:
    return Prefixes(tmp_path / "kept", "key", "tiny", 1 << 20)


def paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.kv"))


def test_what_is_saved_is_found_and_loaded(kept: Prefixes) -> None:
    assert kept.find([1, 2, 3]) == (None, 0)
    kept.save([1, 2, 3, 4], STATE)
    path, shared = kept.find([1, 2, 3, 9, 9])
    assert path is not None
    assert shared == 3
    tokens, state = kept.load(path)
    assert tokens == [1, 2, 3, 4]
    assert (state == STATE).all()


def test_the_longest_beginning_is_found(kept: Prefixes) -> None:
    for tokens in ([1, 2, 7], [1, 2, 3, 4], [5]):
        kept.save(tokens, STATE)
    path, shared = kept.find([1, 2, 3, 4, 5])
    assert shared == 4
    assert path is not None
    assert kept.load(path)[0] == [1, 2, 3, 4]


def test_what_goes_on_takes_the_place_of_its_beginning(kept: Prefixes, tmp_path: Path) -> None:
    kept.save([1, 2], STATE)
    kept.save([1, 2, 3], STATE)
    kept.save([1, 9], STATE)
    assert sorted(one.tokens for one in listed(tmp_path / "kept")) == [2, 3]


def test_another_key_sees_nothing(kept: Prefixes, tmp_path: Path) -> None:
    kept.save([1, 2], STATE)
    assert Prefixes(tmp_path / "kept", "other", "tiny", 1 << 20).find([1, 2]) == (None, 0)


def test_what_was_not_used_for_longest_leaves_first(tmp_path: Path) -> None:
    kept = Prefixes(tmp_path, "key", "tiny", 3500)
    for number in range(3):
        kept.save([number], STATE)
        for age, path in enumerate(sorted(paths(tmp_path), key=os.path.getmtime, reverse=True)):
            os.utime(path, (1e9 - age, 1e9 - age))
    kept.save([3], STATE)
    assert kept.find([0])[1] == 0
    assert [kept.find([number])[1] for number in (2, 3)] == [1, 1]
    with pytest.raises(XlamError, match="more than the cache may hold"):
        kept.save([4], np.zeros(9999, dtype=np.uint8))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "head only": lambda data: data[:8],
    "empty": lambda data: b"",
    "a bit": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "tokens": lambda data: data.replace((3).to_bytes(4, "little"), (4).to_bytes(4, "little")),
    "foreign": lambda data: b"something else entirely" * 100,
    "a long head": lambda data: data[:8] + b"\xff\xff\xff\x7f" + data[12:],
    "a huge count": lambda data: data.replace(b'"tokens": 3', b'"tokens": 9999999999'),
    "no count": lambda data: data.replace(b'"tokens": 3', b'"tokens": -3'),
    "another key": lambda data: data.replace(b'"key": "key"', b'"key": "kex"'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_never_trusted(kept: Prefixes, tmp_path: Path, damage: str) -> None:
    kept.save([1, 2, 3], STATE)
    (path,) = paths(tmp_path / "kept")
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    kept.find([1, 2, 3])
    with pytest.raises(IntegrityError, match="is damaged; it was removed"):
        kept.load(path)
    assert not path.exists()


def test_a_folder_that_cannot_be_written_is_an_error_and_no_more(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    kept = Prefixes(blocked / "kept", "key", "tiny", 1 << 20)
    assert kept.find([1]) == (None, 0)
    with pytest.raises(XlamError, match="cannot be kept"):
        kept.save([1], STATE)


def test_a_disk_that_is_full_leaves_nothing_behind(kept: Prefixes, tmp_path: Path) -> None:
    import resource
    import signal

    kept.save([1, 2], STATE)
    before = paths(tmp_path / "kept")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(XlamError, match="cannot be kept"):
            kept.save([7, 8], STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert paths(tmp_path / "kept") == before
    assert not list((tmp_path / "kept").glob(".*"))


def test_parts_that_nobody_writes_any_more_are_removed(kept: Prefixes, tmp_path: Path) -> None:
    kept.save([1], STATE)
    old, new = tmp_path / "kept" / ".old.part", tmp_path / "kept" / ".new.part"
    for part in (old, new):
        part.touch()
    os.utime(old, (1e9, 1e9))
    kept.save([2], STATE)
    assert not old.exists()
    assert new.exists()


def test_a_file_is_known_by_what_it_holds(tmp_path: Path) -> None:
    one, same, other = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    one.write_bytes(bytes(3_000_000))
    shutil.copy(one, same)
    other.write_bytes(bytes(2_999_999) + b"x")
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def long(engine: Engine, text: str) -> Prompt:
    return prompt.render([User(LONG + text)], [], engine.format)


def reply(engine: Engine, text: str) -> tuple[str, Usage, list[Note]]:
    items = list(engine.generate(long(engine, text), None, Sampling(max_tokens=12)))
    assert isinstance(items[-1], End)
    said = "".join(item for item in items if isinstance(item, str))
    return said, items[-1].usage, [item for item in items if isinstance(item, Note)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(context=2048, threads=1, prefixes=tmp_path / "kept")


def test_a_second_start_does_not_read_the_prompt_again(qwen_path: Path, settings: Settings) -> None:
    first = Engine.load(qwen_path, settings)
    said, usage, _ = reply(first, "Question one?")
    assert usage.cached_tokens == 0
    first.close()
    for text, least in (("Question one?", usage.prompt_tokens - 1), ("Another?", 400)):
        engine = Engine.load(qwen_path, settings)
        again, told, notes = reply(engine, text)
        assert told.cached_tokens >= least
        assert not notes
        assert again == said or text != "Question one?"
        engine.close()


def test_other_settings_do_not_take_it(qwen_path: Path, settings: Settings) -> None:
    first = Engine.load(qwen_path, settings)
    reply(first, "One?")
    first.close()
    for other in (replace(settings, gpu_layers=0), replace(settings, prefixes=None)):
        engine = Engine.load(qwen_path, other)
        assert reply(engine, "One?")[1].cached_tokens == 0
        engine.close()


@pytest.mark.parametrize("damage", ["cut", "a bit", "foreign"])
def test_a_damaged_prefix_is_told_of_and_the_prompt_is_read(
    qwen_path: Path, tmp_path: Path, damage: str
) -> None:
    settings = Settings(context=2048, threads=1, prefixes=tmp_path)
    first = Engine.load(qwen_path, settings)
    said, _, _ = reply(first, "One?")
    first.close()
    (path,) = paths(tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    engine = Engine.load(qwen_path, settings)
    again, usage, notes = reply(engine, "One?")
    assert again == said
    assert usage.cached_tokens == 0
    assert len(notes) == (damage != "foreign")
    engine.close()


def test_a_prefix_that_cannot_be_kept_is_told_of_once(qwen_path: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    engine = Engine.load(qwen_path, Settings(context=2048, threads=1, prefixes=blocked / "kept"))
    told = []
    for number in range(3):
        told.append([note.text for note in reply(engine, f"{LONG} {number}")[2]])
        engine.keep_prefix()
    assert told == [[], ["The prefix cannot be kept: Not a directory."], []]
    engine.close()


def test_two_engines_share_one_cache(qwen_path: Path, tmp_path: Path) -> None:
    settings = Settings(context=2048, threads=1, prefixes=tmp_path)
    engines: Sequence[Engine] = [Engine.load(qwen_path, settings) for _ in range(2)]
    said = [reply(engine, "One?")[0] for engine in engines]
    for engine in engines:
        engine.close()
    assert said[0] == said[1]
    assert len(paths(tmp_path)) == 1


def test_the_command_shows_and_clears_them(
    own_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_folders / "cache" / "prefixes"
    Prefixes(folder, "key", "tiny", 1 << 20).save([1, 2, 3], STATE)
    (folder / "foreign.kv").write_text("?")
    assert run_command(["prefixes"]) == 0
    out, err = capsys.readouterr()
    assert "3 tokens for tiny" in out
    assert "not ours" in out
    assert "2 kept prompts" in err
    assert run_command(["prefixes", "clear"]) == 0
    assert "Removed 2 kept prompts" in capsys.readouterr().out
    assert clear(folder) == (0, 0)


def test_the_tokens_of_a_vocabulary_are_kept_too(qwen_path: Path, tmp_path: Path) -> None:
    engine = Engine.load(qwen_path, Settings(context=256, threads=1))
    asked = pieces(engine.model, None, "")
    assert asked[0] == b"!"
    assert asked[151645] == b"\xff<|im_end|>"
    assert pieces(engine.model, tmp_path, "key") == asked
    (path,) = tmp_path.glob("*.tokens")
    assert pieces(engine.model, tmp_path, "key") == asked
    data = path.read_bytes()
    for damaged in (data[:-1], b"", data[:100] + b"x" + data[101:]):
        path.write_bytes(damaged)
        assert pieces(engine.model, tmp_path, "key") == asked
        assert path.read_bytes() == data
    engine.close()
