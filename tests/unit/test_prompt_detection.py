from __future__ import annotations

import json

import pytest

from xlam_local import prompt
from xlam_local.prompt import (
    LLAMA,
    QWEN,
    PromptFormat,
    Template,
    Vocabulary,
    detect_format,
    format_from_json,
    format_to_json,
)
from xlam_local.types import AssistantMessage, SystemMessage, UserMessage

NAMED = (("unk_token", "<unk>"), ("pad_token", "<pad>"))
CONTROL = (*QWEN.special_tokens, *LLAMA.special_tokens, "<s>", "</s>")
VOCABULARY = Vocabulary(
    CONTROL, ("<think>", "  ", "word"), bos="<s>", eos="</s>", add_bos=True, named=NAMED
)
TEMPLATE = Template("{{ messages }}", CONTROL, "<s>", "</s>", True, ("<think>",), NAMED)
XLAM_2_TEMPLATE = "{{ 'You are developed by Salesforce xLAM team.' }}{{ messages }}"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"general.name": "xLAM-2-1b", "general.architecture": "qwen2"}, QWEN),
        ({"general.basename": "Llama-xLAM-2", "general.architecture": "llama"}, LLAMA),
        ({"general.name": "Other", "tokenizer.chat_template": TEMPLATE.source}, TEMPLATE),
        (
            {
                "general.name": "xLAM-9",
                "general.architecture": "martian",
                "tokenizer.chat_template": TEMPLATE.source,
            },
            TEMPLATE,
        ),
        ({"general.name": "Other"}, None),
    ],
)
def test_the_format_is_detected_from_the_metadata(
    metadata: dict[str, str], expected: PromptFormat | None
) -> None:
    assert detect_format(metadata, VOCABULARY) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("xLAM-2-1b-fc-r", "Llama-xLAM-2-8b-fc-r", "XLAM 2 32b Fc R", "xlam_2_3b", "xLAM2 1B"),
        *("Salesforce.xLAM-2-70b-fc-r", "xLAM-v2-1b", "my xlam-2 tune"),
    ],
)
def test_xlam_2_is_recognized_by_its_name(name: str) -> None:
    for key in ("name", "basename"):
        metadata = {
            f"general.{key}": name,
            "general.architecture": "qwen2",
            "tokenizer.chat_template": TEMPLATE.source,
        }
        assert detect_format(metadata, VOCABULARY) == QWEN


@pytest.mark.parametrize("name", ["", "3f2a9c", "model", "converted"])
def test_xlam_2_is_recognized_by_its_template_if_the_file_has_another_name(name: str) -> None:
    metadata = {
        "general.name": name,
        "general.architecture": "llama",
        "tokenizer.chat_template": XLAM_2_TEMPLATE,
    }
    assert detect_format(metadata, VOCABULARY) == LLAMA


XLAM_1 = [
    *("xLAM-7b-fc-r", "xLAM-1b-fc-r", "xLAM-7b-r", "xLAM-8x7b-r", "xLAM-8x22b-r", "xLAM-v0.1-r"),
    *("XLAM 7b Fc R", "xlam_1b_fc_r", "xLAM-2b", "xLAM-2.5-1b", "xLAM-20b"),
]


@pytest.mark.parametrize("name", XLAM_1)
def test_other_xlam_models_get_the_template_in_their_file(name: str) -> None:
    metadata = {
        "general.name": name,
        "general.architecture": "llama",
        "tokenizer.chat_template": TEMPLATE.source,
    }
    assert detect_format(metadata, VOCABULARY) == TEMPLATE


CHAT = (SystemMessage("Be brief."), UserMessage("Hi"), AssistantMessage("Hello."), UserMessage("?"))


@pytest.mark.parametrize("name", ["xLAM-7b-fc-r", "XLAM 1b Fc R", "xlam_1b_fc_r"])
def test_xlam_1_made_from_deepseek_gets_its_documented_format(name: str) -> None:
    metadata = {"general.name": name, "general.architecture": "llama"}
    vocabulary = Vocabulary(("<|EOT|>",))
    template = detect_format(metadata, vocabulary)
    assert isinstance(template, Template)
    assert prompt.text(prompt.render(CHAT, [], template)) == (
        "Be brief.\n### Instruction:\nHi\n### Response:\nHello.\n<|EOT|>\n"
        "### Instruction:\n?\n### Response:\n"
    )
    assert detect_format(metadata, Vocabulary(CONTROL)) is None


@pytest.mark.parametrize("name", ["xLAM-3-1b", "xLAM-2.5-1b-fc-r", "xLAM-20b", "my-xlam-r"])
@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "gemma3", ""])
def test_no_format_of_xlam_1_is_used_for_another_architecture(name: str, architecture: str) -> None:
    metadata = {"general.name": name, "general.architecture": architecture}
    assert detect_format(metadata, Vocabulary((*CONTROL, "<|EOT|>"))) is None


@pytest.mark.parametrize("name", ["xLAM-7b-r", "xLAM-8x7b-r", "XLAM 8x22b R"])
def test_xlam_1_made_from_mistral_gets_its_documented_format(name: str) -> None:
    metadata = {"general.name": name, "general.architecture": "llama"}
    vocabulary = Vocabulary(("<s>", "</s>"), bos="<s>", eos="</s>")
    template = detect_format(metadata, vocabulary)
    assert isinstance(template, Template)
    assert prompt.text(prompt.render(CHAT, [], template)) == (
        "<s> [INST] Be brief.\n\nHi [/INST] Hello.</s> [INST] ? [/INST]"
    )
    assert detect_format(metadata, Vocabulary(("<|EOT|>",))) is None


@pytest.mark.parametrize(
    "missing", ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>", "every"]
)
def test_a_format_whose_tokens_the_vocabulary_lacks_is_not_used(missing: str) -> None:
    family = QWEN if missing.startswith("<|im") else LLAMA
    architecture = "qwen2" if family is QWEN else "llama"
    metadata = {"general.name": "xLAM-2-1b", "general.architecture": architecture}
    tokens = tuple(token for token in family.special_tokens if missing not in (token, "every"))
    vocabulary = Vocabulary(tokens)
    assert detect_format(metadata, vocabulary) is None
    own = detect_format(metadata | {"tokenizer.chat_template": "{{ messages }}"}, vocabulary)
    assert own == Template("{{ messages }}", tokens)


def test_tokens_of_a_format_may_be_user_defined() -> None:
    metadata = {"general.name": "xLAM-2-1b", "general.architecture": "qwen2"}
    assert detect_format(metadata, Vocabulary((), QWEN.special_tokens)) == QWEN


@pytest.mark.parametrize("prompt_format", [QWEN, LLAMA, TEMPLATE])
def test_a_format_survives_json(prompt_format: PromptFormat) -> None:
    text = json.dumps(format_to_json(prompt_format))
    assert format_from_json(json.loads(text)) == prompt_format


def test_a_template_can_use_the_other_named_tokens() -> None:
    source = "{{ pad_token + unk_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
    template = Template(source, CONTROL, named=NAMED)
    assert prompt.text(prompt.render([UserMessage("Hi")], [], template)) == "<pad><unk>Hi"
