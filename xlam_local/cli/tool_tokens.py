"""What tools cost: the prompt tokens that a model counts, or an estimate without any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import config, model_loading, models, prompt
from ..errors import ModelMissing
from ..models.verify import read_header
from ..types import Prompt, Tool

CHARS_PER_TOKEN = 4.9
"""For an estimate without a model: the average in the JSON of tools."""
ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class ToolTokens:
    """The tokens of each tool in a prompt."""

    counts: Sequence[int]
    counted_by: str
    """The file of the model whose vocabulary counted them, or ESTIMATE."""

    @property
    def is_estimate(self) -> bool:
        """Whether no model counted them."""
        return self.counted_by == ESTIMATE


def tool_tokens(tools: Sequence[Tool], model: str | None) -> ToolTokens:
    """Return the tokens of tools as a model counts them, by default the user's own.

    Without a `model` and with none installed, the tokens are an estimate.

    Raises:
        ModelMissing: `model` is not installed.
    """
    folders = config.folders()
    settings = config.load(folders.config / "config.toml")
    store = models.Store.from_folders(folders.config, folders.data)
    try:
        path = model_loading.find_model(model, settings, store)
    except ModelMissing:
        if model is not None:
            raise
        estimates = [round(len(prompt.tool_text(tool)) / CHARS_PER_TOKEN) for tool in tools]
        return ToolTokens(estimates, ESTIMATE)
    read_header(path)
    # llama.cpp takes most of a second to load, and `--help` imports this module.
    from ..engine.token_counter import count_tokens

    def count(prompts: Sequence[Prompt]) -> list[int]:
        return count_tokens(path, [prompt.text(one) for one in prompts])

    return ToolTokens(prompt.tool_token_counts(tools, count), path.name)
