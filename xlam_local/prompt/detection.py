"""Which format a model's prompts have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .chat_template import Template
from .special_tokens import is_markup
from .xlam_format import FAMILIES, Family
from .xlam_models import xlam_1_template, xlam_family

PromptFormat = Family | Template
"""xLAM's own format, or the chat template in a model's file."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a model that a prompt format can use."""

    control: tuple[str, ...]
    """The texts of the control tokens, which no text contains."""
    user_defined: tuple[str, ...] = ()
    """The texts of tokens that llama.cpp reads in any text, for example `<think>`."""
    bos: str = ""
    eos: str = ""
    add_bos: bool = False
    """Whether a prompt must begin with `bos`."""
    named: tuple[tuple[str, str], ...] = ()
    """Names and texts of other tokens, such as `pad_token`."""


def detect_format(metadata: Mapping[str, str], vocabulary: Vocabulary) -> PromptFormat | None:
    """Return a model's prompt format from the metadata and the vocabulary of its GGUF file.

    xLAM-2 models have a format of their own, others the chat template in their file; xLAM-1 models
    whose file has none get the documented one. A format of ours is used only if the vocabulary has
    its special tokens. None means that there is no format.
    """
    known = {*vocabulary.control, *vocabulary.user_defined}
    family = xlam_family(metadata)
    if family is not None and known.issuperset(family.special_tokens):
        return family
    source = metadata.get("tokenizer.chat_template", "")
    if not source.strip():
        source, token = xlam_1_template(metadata)
        if token not in known:
            return None
    return Template(
        source,
        vocabulary.control,
        bos=vocabulary.bos,
        eos=vocabulary.eos,
        add_bos=vocabulary.add_bos,
        user_defined=tuple(filter(is_markup, vocabulary.user_defined)),
        named=vocabulary.named,
    )


def format_to_json(prompt_format: PromptFormat) -> Mapping[str, Any]:
    """Return a format as JSON."""
    if isinstance(prompt_format, Family):
        return {"family": prompt_format.name}
    return {"template": asdict(prompt_format)}


def format_from_json(fields: Mapping[str, Any]) -> PromptFormat:
    """Return the format that `format_to_json` was given."""
    if "family" in fields:
        return FAMILIES[fields["family"]]
    template = fields["template"]
    tokens = {key: tuple(template[key]) for key in ("specials", "user_defined")}
    named = tuple((name, text) for name, text in template.get("named", ()))
    return Template(**{**template, **tokens, "named": named})
