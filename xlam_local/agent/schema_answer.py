"""Answer with one JSON value within a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import grammar, schema, user_file
from ..errors import InvalidReply, UsageError
from ..types import Done, Event, Message, Sampling, Schema, SystemMessage
from .engine import Engine
from .grammar_answer import answer_within_grammar

INSTRUCTION = "Answer with one JSON value within this JSON Schema, and nothing else:"


def answer_within_schema(
    messages: Sequence[Message], engine: Engine, within: Schema, sampling: Sampling
) -> Generator[Event, None, Done]:
    """Generate an answer that is JSON within a schema; yield events and return Done.

    The model reads the schema at the end of the prompt. No tool runs, and stop strings do not
    apply.

    Raises:
        SchemaError: the schema is not valid, or no value is.
    """
    allowed = grammar.for_schema(within)
    instruction = SystemMessage(f"{INSTRUCTION} {json.dumps(within, ensure_ascii=False)}")
    sampling = replace(sampling, stop=())
    return answer_within_grammar([*messages, instruction], (), engine, allowed, sampling)


@dataclass(frozen=True, slots=True)
class SchemaAnswer:
    """Answers that are JSON within a schema."""

    schema: Schema

    def parse(self, text: str) -> Any:
        """Return the value of an answer.

        Raises:
            InvalidReply: it is not JSON within the schema.
        """
        try:
            value = user_file.parse_json(text, "The answer")
        except UsageError as error:
            raise InvalidReply(str(error)) from error
        if problems := schema.validate(value, self.schema):
            raise InvalidReply(f"The answer is not within the schema: {' '.join(problems)}")
        return value
