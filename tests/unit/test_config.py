from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local import config
from xlam_local.errors import UsageError


def test_all_folders_are_below_xlam_local_home(tmp_path: Path) -> None:
    found = config.folders({"XLAM_LOCAL_HOME": str(tmp_path)})
    assert {found.config.parent, found.data.parent, found.cache.parent, found.state.parent} == {
        tmp_path
    }


def test_without_xlam_local_home_the_folders_are_the_systems() -> None:
    found = config.folders({})
    assert found.config.name == "xlam-local"
    assert found.cache != found.data


def test_without_a_file_the_defaults_apply(tmp_path: Path) -> None:
    assert config.load(tmp_path / "config.toml") == config.Config()


def test_settings_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('model = "xlam-2-3b"\ncontext = 4096\ntemperature = 1\n')
    assert config.load(path) == config.Config(model="xlam-2-3b", context=4096, temperature=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = ", "is not valid TOML"),
        ("modle = 'x'", "Unknown key 'modle'; the keys are allow_remote, auto_downgrade"),
        ("context = -1", "context must be an integer of at least 64, not -1"),
        ("context = true", "context must be an integer of at least 64, not True"),
        ("model = ''", "model must be a string that is not empty"),
        ("kv_cache_type = 'q5'", "kv_cache_type must be f16, q8_0 or q4_0, not 'q5'"),
        ("threads = 513", "threads must be an integer from 1 to 512, not 513"),
        ("threads = 1.5", "threads must be an integer from 1 to 512, not 1.5"),
        ("temperature = nan", "temperature must be a number from 0 to 5, not nan"),
        ("stop = [1]", "stop must be a string or a list of strings"),
        ("stop = ''", "stop must not be empty"),
        ("repeat_penalty = 0", "repeat_penalty must be a number from 1 to 5, not 0"),
        ("preset = 'x'", "There is no preset 'x'; the presets are: none"),
        ("presets = 3", "presets must be a table"),
        ("presets.x = 3", "x must be a table"),
        ("[presets.x]\ntheme = 'nord'", r"presets\.x: Unknown key 'theme'; the keys are max_steps"),
        ("[presets.x]\ntop_p = 2", r"presets\.x: top_p must be a number from 0 to 1"),
        ("temperature = 'hot'", "temperature must be a number from 0 to 5, not 'hot'"),
    ],
)
def test_an_invalid_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        config.load(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, not a file"):
        config.load(tmp_path)


def test_a_value_that_no_file_can_hold_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(UsageError, match="cannot be written: the text has half of a surrogate"):
        config.save(path, "model", "a\ud800")
    assert not path.exists()


@pytest.mark.slow
@given(st.text(min_size=1))
def test_any_text_is_saved_and_loaded(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        config.save(path, "model", text)
        assert config.load(path).model == text


def test_saving_a_setting_keeps_comments(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    config.save(path, "theme", "nord")
    path.write_text("# Mine.\ncontext = 4096  # enough\n" + path.read_text())
    config.save(path, "context", 2048)
    config.save(path, "theme", None)
    config.save(path, "max_tokens", 100)
    assert path.read_text() == "# Mine.\ncontext = 2048  # enough\nmax_tokens = 100\n"
    assert config.load(path).context == 2048


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    # The name is valid, but the longer name of the temporary file beside it is not.
    with pytest.raises(UsageError, match="cannot be written"):
        config.save(tmp_path / ("c" * 255), "threads", 2)


def test_an_invalid_file_or_value_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("context = ")
    with pytest.raises(UsageError, match="is not valid TOML"):
        config.save(path, "context", 2048)
    path.write_text("")
    with pytest.raises(UsageError, match="context must be an integer of at least 64, not -1"):
        config.save(path, "context", -1)
    assert path.read_text() == ""


PRESETS = """
temperature = 0.5
stop = "END"
[presets.creative]
temperature = 0.9
system = "Be bold."
stop = ["\\n\\n", "END"]
[presets.plain]
top_k = 1
"""


def test_a_preset_replaces_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(PRESETS)
    settings = config.load(path)
    assert (settings.stop, settings.preset) == (("END",), None)
    assert config.with_preset(settings) == settings
    creative = config.with_preset(settings, "creative")
    assert (creative.temperature, creative.system) == (0.9, "Be bold.")
    assert creative.stop == ("\n\n", "END")
    assert config.with_preset(settings, "plain").temperature == 0.5
    with pytest.raises(UsageError, match=r"no preset 'bold'; the presets are: creative, plain\."):
        config.with_preset(settings, "bold")


def test_a_preset_can_be_the_default(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(PRESETS)
    config.save(path, "preset", "creative")
    settings = config.load(path)
    assert config.with_preset(settings).temperature == 0.9
    assert config.with_preset(settings, "").temperature == 0.5
    assert config.with_preset(settings, "plain").top_k == 1
    with pytest.raises(UsageError, match="There is no preset 'bold'"):
        config.save(path, "preset", "bold")
    config.save(path, "stop", ("a", "\n"))
    assert config.load(path).stop == ("a", "\n")
    config.save(path, "stop", ())
    assert config.load(path).stop == ()
