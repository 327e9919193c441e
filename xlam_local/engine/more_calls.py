"""Add a call to a list that a model has closed, if it goes on to another call.

xLAM writes all calls of a reply in one list. Other models close the list after a call and begin a
new one, for example `[{…}]</tool_call><tool_call>[{…}]`. The grammar allows one list, so the reply
would end without the other calls. After a list is closed, the model therefore writes a few tokens
without the grammar. If they begin another call, they and the end of the list are taken back, and
the call is added to the list.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Generator, Sequence

from ..grammar import begins_another_call, end_and_next_call
from ..types import PromptPart
from .constraint import Constraint, NoConstraint
from .llama_context import DecodeRequest
from .llama_model import LlamaModel
from .speculative import PromptLookupDecoder

MAX_TOKENS_AFTER_CALLS = 32
"""How many tokens after a list may show that another call begins."""


class MoreCalls:
    """Adds calls to the list of a reply; `tag_tokens` are control tokens before calls."""

    def __init__(
        self, model: LlamaModel, decoder: PromptLookupDecoder, tag_tokens: Collection[int]
    ) -> None:
        self._model = model
        self._decoder = decoder
        self._tag_tokens = tag_tokens

    def add(
        self, constraint: Constraint, new: Sequence[int], text: str, wanted: int | None
    ) -> Generator[DecodeRequest, None, list[int]]:
        """Return the tokens that add a call, decoded and accepted; none if the list stays closed.

        `text` is the list, and `new` its last tokens, which the constraint has accepted. They are
        not decoded, and are replaced by those that are returned. `wanted` is the token that the
        model would have written without the grammar, if it is another.
        """
        held = list(self._decoder.accepted_tokens())
        if not _ends_with_new_call(text):
            return []
        begins = yield from self._begins_another(new, wanted)
        if not (begins and (tokens := self._replace(constraint, new, text))):
            yield from self._decoder.cut(len(held))
            return []
        yield from self._decoder.replace([*held, *tokens])
        return tokens

    def _begins_another(
        self, new: Sequence[int], wanted: int | None
    ) -> Generator[DecodeRequest, None, bool]:
        """Decode what the model writes after the list, and return whether it begins a call."""
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        unread, text = list(new), ""
        closing = b"".join(map(self._model.token_bytes, new))
        after = b"" if wanted is None else self._model.token_bytes(wanted)
        if wanted is not None and after.startswith(closing):
            # One token closes the list and goes on, such as `]` with a line end.
            unread, text = [wanted], utf8.decode(after.removeprefix(closing))
        for _ in range(MAX_TOKENS_AFTER_CALLS):
            yield from self._decoder.read(unread, NoConstraint())
            token = int(self._decoder.logits().argmax())
            if token in self._model.end_tokens:
                return False
            if token in self._tag_tokens:
                return True
            data = self._model.token_bytes(token) or self._model.token_text(token).encode()
            text += utf8.decode(data)
            if (begins := begins_another_call(text)) is not None:
                return begins
            unread = [token]
        return False

    def _replace(self, constraint: Constraint, new: Sequence[int], text: str) -> list[int]:
        """Make the constraint accept another call instead of the end of the list in `new`.

        Return its tokens. None are returned, and nothing changes, if the grammar allows no call.
        """
        end, next_call = end_and_next_call(text)
        written = b"".join(map(self._model.token_bytes, new)).decode(errors="replace")
        if not (written.endswith(end) and constraint.take_back(len(new))):
            return []
        rest = written.removesuffix(end)
        tokens = self._model.tokenize((PromptPart(rest + next_call),))
        allowed = constraint.valid_prefix(tokens) == tokens
        for token in tokens if allowed else new:
            constraint.accept(token)
        return tokens if allowed else []


def _ends_with_new_call(text: str) -> bool:
    """Return whether the last call of a list differs from those before it.

    A list that cannot be read gets no more calls either.
    """
    try:
        *earlier, last = json.loads(text)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or deep nesting
        return False
    return last not in earlier
