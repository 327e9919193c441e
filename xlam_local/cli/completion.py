"""`completion`: print the script that completes commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from .. import models
from .models_store import user_store

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands and options in SHELL.

    \b
    bash: xlam-local completion bash > ~/.local/share/bash-completion/completions/xlam-local
    zsh:  xlam-local completion zsh > ~/.zsh_functions/_xlam-local  (a folder in $fpath)
    fish: xlam-local completion fish > ~/.config/fish/completions/xlam-local.fish
    """
    root = ctx.find_root()
    complete = get_completion_class(shell)
    assert complete is not None
    name = root.info_name or "xlam-local"
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    click.echo(complete(root.command, {}, name, variable).source())


def complete_model(
    _ctx: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the installed models whose name begins with `incomplete`."""
    names = (model.name for model in models.list_installed(user_store()))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
