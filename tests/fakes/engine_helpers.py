"""Short ways to make an engine generate."""

from __future__ import annotations

from xlam_local import prompt
from xlam_local.agent import Engine
from xlam_local.grammar import Enforced
from xlam_local.types import GenerationEnd, Prompt, Sampling, UserMessage

GREEDY = Sampling(max_tokens=16)


def user_prompt(engine: Engine, text: str = "Hello there.") -> Prompt:
    """Return the prompt after one message of the user, without tools."""
    return prompt.render([UserMessage(text)], [], engine.prompt_format)


def generate(
    engine: Engine,
    written: Prompt,
    sampling: Sampling = GREEDY,
    grammar: Enforced | None = None,
) -> tuple[str, GenerationEnd]:
    """Return the text and the end of a generation."""
    *items, end = engine.generate(written, grammar, sampling)
    assert isinstance(end, GenerationEnd)
    return "".join(item for item in items if isinstance(item, str)), end
