"""Recognize Salesforce's xLAM models by their names and chat templates."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .instructions import XLAM_INSTRUCTIONS, XLAM_SYSTEM
from .xlam_format import LLAMA, QWEN, Family

ARCHITECTURES = {"qwen2": QWEN, "llama": LLAMA}
XLAM_2_NAME = re.compile(r"xlam[\W_]*v?2(?![a-z0-9]|\.\d)", re.IGNORECASE)
"""For example "xLAM-2-1b-fc-r", "Llama xLAM 2 8b" or "xLAM2"; not "xLAM-7b-fc-r" or "xLAM-2b"."""
XLAM_2_TEXTS = (
    "developed by Salesforce xLAM team",
    XLAM_INSTRUCTIONS.partition(":")[0],
)
"""Texts that only the chat templates of xLAM-2 contain."""
assert XLAM_2_TEXTS[0] in XLAM_SYSTEM

# The first generation: https://huggingface.co/Salesforce/xLAM-7b-fc-r and xLAM-1b-fc-r were trained
# from DeepSeek-Coder, xLAM-7b-r, xLAM-8x7b-r and xLAM-8x22b-r from Mistral and Mixtral.
XLAM_1_ARCHITECTURE = "llama"
XLAM_1_DEEPSEEK = r"""{{ bos_token }}{% for m in messages %}
{% if m.role == 'system' %}{{ m.content + '\n' }}
{%- elif m.role == 'user' %}{{ '### Instruction:\n' + m.content + '\n' }}
{%- elif m.role == 'assistant' %}{{ '### Response:\n' + m.content + '\n<|EOT|>\n' }}
{%- endif %}{% endfor %}{{ '### Response:\n' }}"""
XLAM_1_MISTRAL = """{{ bos_token }}{% for m in messages %}
{% if m.role == 'user' %}{{ ' [INST] ' + m.content + ' [/INST]' }}
{%- elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}
{%- endif %}{% endfor %}"""


def xlam_family(metadata: Mapping[str, object]) -> Family | None:
    """Return the family of an xLAM-2 model from its GGUF metadata; None for other models."""
    template = str(metadata.get("tokenizer.chat_template", ""))
    if XLAM_2_NAME.search(_names(metadata)) or any(text in template for text in XLAM_2_TEXTS):
        return ARCHITECTURES.get(str(metadata.get("general.architecture", "")))
    return None


def xlam_1_template(metadata: Mapping[str, object]) -> tuple[str, str]:
    """Return the chat template of an xLAM-1 model and a token that it needs.

    Both are empty for other models. Early files of xLAM-1 contain no template.
    """
    names = _names(metadata).lower()
    if "xlam" not in names or XLAM_2_NAME.search(names):
        return "", ""
    if metadata.get("general.architecture") != XLAM_1_ARCHITECTURE:
        return "", ""
    if re.search(r"\bfc\b", names.replace("_", " ")):
        return XLAM_1_DEEPSEEK, "<|EOT|>"
    return XLAM_1_MISTRAL, "</s>"


def _names(metadata: Mapping[str, object]) -> str:
    return " ".join(str(metadata.get(f"general.{key}", "")) for key in ("name", "basename"))
