"""The table of settings and everything that is generated from it."""

from __future__ import annotations

import ast
from dataclasses import fields
from typing import get_args, get_type_hints

import click
import pytest
from click.testing import CliRunner

from xlam_local import config
from xlam_local.cli.options import ModelOptions, model_options, tool_choice_option
from xlam_local.config import Config
from xlam_local.errors import UsageError
from xlam_local.model_shape import KvCacheType
from xlam_local.settings_table import SETTINGS, SettingSpec, check_settings, markdown_table

by_name = pytest.mark.parametrize("spec", SETTINGS, ids=lambda spec: spec.name)


def test_config_has_the_settings_of_the_table_in_its_order() -> None:
    names = [spec.name for spec in SETTINGS]
    assert [field.name for field in fields(Config)] == [*names, config.PRESETS]


@by_name
def test_config_has_the_default_and_the_type_of_the_table(spec: SettingSpec) -> None:
    assert getattr(Config(), spec.name) == spec.default
    hint = get_type_hints(Config)[spec.name]
    if spec.name == "kv_cache_type":
        assert hint == KvCacheType
        assert spec.choices == get_args(KvCacheType)
    elif spec.type is tuple:
        assert hint == tuple[str, ...]
    else:
        assert hint == (spec.type | None if spec.default is None else spec.type)


@by_name
def test_a_setting_without_a_default_says_what_applies(spec: SettingSpec) -> None:
    assert (spec.default is None) == bool(spec.unset)


@by_name
def test_the_default_and_the_flag_value_are_valid(spec: SettingSpec) -> None:
    if spec.default is not None:
        value = list(spec.default) if isinstance(spec.default, tuple) else spec.default
        check_settings({spec.name: value}, "config.toml")
    if spec.option is not None and spec.option.flag_value is not None:
        check_settings({spec.name: spec.option.flag_value}, "config.toml")


@by_name
def test_a_value_of_another_type_is_invalid(spec: SettingSpec) -> None:
    with pytest.raises(UsageError, match=rf"^config\.toml: {spec.name} must be "):
        check_settings({spec.name: [1]}, "config.toml")


@pytest.mark.parametrize(
    ("arguments", "overrides"),
    [
        ([], {}),
        (["--context", "128", "--temperature", "1"], {"context": 128, "temperature": 1.0}),
        (["--kv-cache-type", "q8_0"], {"kv_cache_type": "q8_0"}),
        (
            ["--top-k", "40", "--top-p", "0.9", "--min-p", "0"],
            {"top_k": 40, "top_p": 0.9, "min_p": 0.0},
        ),
        (["--seed", "0", "--repeat-penalty", "1.1"], {"repeat_penalty": 1.1, "seed": 0}),
        (["--stop", "a,b", "--stop", "\n"], {"stop": ("a,b", "\n")}),
        (["--system", "", "--preset", "x"], {"preset": "x", "system": ""}),
        (
            ["--no-auto-downgrade", "--strict-context", "--no-prompt-cache"],
            {"auto_downgrade": False, "strict_context": True, "prompt_cache_mib": 0},
        ),
    ],
)
def test_options_override_settings(arguments: list[str], overrides: dict[str, object]) -> None:
    @click.command()
    @tool_choice_option("auto")
    @model_options
    def show(model: ModelOptions) -> None:
        click.echo(repr(model.overrides))

    result = CliRunner().invoke(show, arguments)
    assert ast.literal_eval(result.output) == overrides


@pytest.mark.parametrize(
    "arguments",
    [
        ["--context", "63"],
        ["--temperature", "6"],
        ["--top-k", "-1"],
        ["--top-p", "1.1"],
        ["--min-p", "-0.1"],
        ["--repeat-penalty", "0"],
        ["--stop", ""],
    ],
)
def test_an_option_out_of_range_is_a_usage_error(arguments: list[str]) -> None:
    command = click.command(tool_choice_option("auto")(model_options(lambda model: None)))
    assert CliRunner().invoke(command, arguments).exit_code == 2


def test_the_markdown_table_has_a_row_for_each_setting() -> None:
    _, _, *rows = markdown_table().splitlines()
    assert [row.split("`")[1] for row in rows] == [spec.name for spec in SETTINGS]
    assert rows[1] == (
        "| `context` | `8192` | 64 or more | Context size in tokens, at most that of the model. "
        "| `--context` |"
    )
