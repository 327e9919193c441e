"""`models`: the group of the commands for models."""

from __future__ import annotations

import click

from .lazy_group import LazyGroup, Target

COMMANDS = {
    "list": Target(
        "models_list:list_", "List the installed models, and the names of those that can be pulled."
    ),
    "pick": Target(
        "models_pick", "Recommend a model, a quantization and a context size for this machine."
    ),
    "pull": Target("models_pull", "Download a model. An interrupted download resumes."),
    "import": Target(
        "models_pull:import_", "Import a GGUF FILE of this computer, without copying it."
    ),
    "show": Target(
        "models_show",
        "Show a model's published files, its license, and the metadata of its installed file.",
    ),
    "path": Target("models_list", "Print the path of an installed model."),
    "verify": Target(
        "models_verify", "Verify the checksums of the models NAMES, or of all installed models."
    ),
    "remove": Target("models_remove", "Remove a model from the store."),
    "adapters": Target(
        "models_adapters", "Add, list and remove LoRA adapters. Use one with -m MODEL+NAME:SCALE."
    ),
    "prune": Target(
        "models_remove",
        "Delete partial downloads and unreferenced files; with --older, also old revisions.",
    ),
}


@click.group(cls=LazyGroup, targets=COMMANDS)
def models() -> None:
    """Download, list, verify and remove models."""
