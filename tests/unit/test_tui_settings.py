"""Values in the fields of the settings screen."""

from __future__ import annotations

import pytest
from textual.theme import BUILTIN_THEMES

from xlam_local.config import Config
from xlam_local.settings_table import SETTINGS, THEMES, SettingValue
from xlam_local.tui.screens.settings import format_value, parse_value

SPECS = {spec.name: spec for spec in SETTINGS}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("context", " 4096 ", 4096),
        ("context", "", None),
        ("context", "4096.5", 4096.5),
        ("context", "many", "many"),
        ("temperature", "0.7", 0.7),
        ("stop", "", ()),
        ("stop", " END, ", ("END,",)),
        ("stop", '["a", "\\n"]', ("a", "\n")),
        ("stop", "[1]", ("[1]",)),
        ("stop", "[" * 100_000, ("[" * 100_000,)),
        ("model", "7", "7"),
        ("model", "true", "true"),
    ],
)
def test_text_is_read_as_the_settings_type(
    name: str, text: str, value: SettingValue | None
) -> None:
    assert parse_value(text, SPECS[name]) == value


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.type is not bool])
def test_a_formatted_default_is_read_back(name: str) -> None:
    default = getattr(Config(), name)
    assert parse_value(format_value(default), SPECS[name]) == default


def test_the_themes_are_those_of_textual() -> None:
    assert set(THEMES) == BUILTIN_THEMES.keys()
    assert SPECS["theme"].default == THEMES[0]
