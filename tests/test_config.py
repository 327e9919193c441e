from pathlib import Path

import pytest

from xlam_local import config
from xlam_local.errors import UsageError


def test_every_folder_is_under_the_home_that_is_set(tmp_path: Path) -> None:
    found = config.folders({"XLAM_LOCAL_HOME": str(tmp_path)})
    assert {found.config.parent, found.data.parent, found.cache.parent, found.state.parent} == {
        tmp_path
    }


def test_without_a_home_the_system_says_where() -> None:
    found = config.folders({})
    assert found.config.name == "xlam-local"
    assert found.cache != found.data


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path / "config.toml") == config.Config()


def test_settings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('model = "xlam-2-3b"\ncontext = 4096\ntemperature = 1\n')
    assert config.load(path) == config.Config(model="xlam-2-3b", context=4096, temperature=1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model = ", "is not TOML"),
        ("modle = 'x'", "there is no setting 'modle'"),
        ("context = -1", "context cannot be -1"),
        ("context = true", "context cannot be True"),
        ("model = ''", "model cannot be ''"),
        ("temperature = 'hot'", "temperature cannot be 'hot'"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        config.load(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        config.load(tmp_path)


def test_a_setting_is_changed_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    config.save(path, "theme", "nord")
    path.write_text("# Mine.\ncontext = 4096  # enough\n" + path.read_text())
    config.save(path, "context", 2048)
    config.save(path, "theme", None)
    config.save(path, "max_tokens", 100)
    assert path.read_text() == "# Mine.\ncontext = 2048  # enough\nmax_tokens = 100\n"
    assert config.load(path).context == 2048


def test_nothing_is_written_over_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("context = ")
    with pytest.raises(UsageError, match="is not TOML"):
        config.save(path, "context", 2048)
    path.write_text("")
    with pytest.raises(UsageError, match="context cannot be -1"):
        config.save(path, "context", -1)
    assert path.read_text() == ""
