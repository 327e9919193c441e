"""Write docs/cli.md from the commands themselves.

usage: python -m tests.scripts.cli_docs > docs/cli.md

A test compares the page with this output.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from xlam_local.cli import EXIT_INTERRUPTED, xlam_local
from xlam_local.errors import XlamError
from xlam_local.settings_table import SETTINGS, markdown_table

HEAD = """\
# Commands

All commands with their options, the settings of `config.toml`, and the exit codes. Results go to
stdout, everything else (progress, notices, errors) to stderr. Without a terminal there are no
colors, progress bars or prompts; whatever needs an answer is refused. `--json` prints one object,
`--jsonl` one object per line. Every command has `--help`.

This page is generated: `python -m tests.scripts.cli_docs > docs/cli.md`.

## Exit codes

| code | meaning |
|---|---|
"""
EXIT_CODES = {
    0: "success",
    1: "error: the message says what went wrong",
    2: "usage: an option, a tool file, a schema, a grammar or a settings file is not valid",
    3: "the model is not installed",
    4: "out of memory: the model or its context does not fit",
    5: "the model's calls were still invalid after one correction",
    6: "a tool call was refused",
    7: "a tool failed",
    8: "no answer: too many replies, a loop, or another limit of the turn was reached",
    9: "integrity: a file is damaged or its checksum does not match",
    EXIT_INTERRUPTED: "interrupted (Ctrl+C)",
}

SETTINGS_HEAD = """\
## Settings

`config.toml` in the configuration folder holds settings, one `name = value` per line. The app shows
and changes them (F4). An option replaces a setting for one run. The configuration folder is
`~/.config/xlam-local` on Linux and `~/Library/Application Support/xlam-local` on macOS, or
`$XLAM_LOCAL_HOME/config` if this variable is set; `xlam-local doctor` shows all folders.

"""
PRESETS = """\

A preset is a table of settings with a name. `--preset NAME` uses it for one run, and the setting
`preset` makes it the default, also for the app. Options replace the values of a preset.

```toml
preset = "exact"

[presets.exact]
temperature = 0
system = "Answer in one sentence."

[presets.creative]
temperature = 0.9
top_p = 0.95
stop = ["THE END"]
```

A preset can have: {names}.

Tokens are sampled as in llama.cpp: the grammar excludes tokens first, then the repeat penalty,
`top_k`, `top_p`, `min_p` and the temperature apply, in this order.

"""


def page() -> str:
    """Return the whole page as Markdown."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    names = ", ".join(f"`{spec.name}`" for spec in SETTINGS if spec.in_presets)
    settings = SETTINGS_HEAD + markdown_table() + PRESETS.format(names=names)
    sections = "\n".join(_sections(xlam_local, "xlam-local", None))
    return f"{HEAD}{codes}\n{settings}{sections}"


def raised_codes() -> set[int]:
    """Return the exit codes of all our exceptions."""
    kinds: list[type[XlamError]] = [XlamError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return {kind.exit_code for kind in kinds}


def _sections(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield f"## `{context.command_path}`\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    records = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context))
    ]
    if records:
        yield "| option | |\n|---|---|"
        yield from (f"| `{_cell(option)}` | {_cell(text)} |" for option, text in records)
        yield ""
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _sections(found, inner, context)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
