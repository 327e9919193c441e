"""llguidance and llama.cpp's grammar sampler, over real vocabularies without weights."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import llama_cpp
import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer
from llguidance.llamacpp import lltokenizer_from_vocab

from tests.fakes.resources import fetch
from xlam_local import gbnf
from xlam_local.engine.constraint import PARSER_LIMITS, TOKEN_DATA

RESOURCES = {"qwen2": "vocab-qwen2", "llama-bpe": "vocab-llama3"}
VOCABULARIES = tuple(RESOURCES)

Mask = npt.NDArray[np.bool_]
"""Shape (vocab_size,): which tokens a grammar allows next."""


class LlamaVocabulary:
    """A vocabulary loaded by llama.cpp."""

    def __init__(self, path: Path) -> None:
        @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
        def discard(level: int, text: bytes, data: object) -> None:
            pass

        llama_cpp.llama_log_set(discard, ctypes.c_void_p(0))
        self._discard = discard
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.end: int = llama_cpp.llama_vocab_eos(self.vocab)

    @property
    def special(self) -> Mask:
        """The tokens that are not text: control tokens, unused and user-defined ones."""
        kinds = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        kinds |= llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN | llama_cpp.LLAMA_TOKEN_ATTR_UNUSED
        return np.array(
            [
                bool(llama_cpp.llama_vocab_get_attr(self.vocab, token) & kinds)
                or llama_cpp.llama_vocab_is_eog(self.vocab, token)
                for token in range(self.size)
            ]
        )

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text, without special ones."""
        data = text.encode()
        tokens = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(
            self.vocab, data, len(data), tokens, len(tokens), False, False
        )
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token."""
        buffer = ctypes.create_string_buffer(1024)
        size = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 1024, 0, False)
        return buffer.raw[: max(size, 0)]


@lru_cache(maxsize=2)
def vocabulary(name: str = "qwen2") -> LlamaVocabulary:
    return LlamaVocabulary(fetch(RESOURCES[name]))


@lru_cache(maxsize=2)
def tokenizer(name: str = "qwen2") -> LLTokenizer:
    with warnings.catch_warnings():
        # llguidance uses a deprecated function of llama-cpp-python.
        warnings.simplefilter("ignore", DeprecationWarning)
        return lltokenizer_from_vocab(vocabulary(name).vocab)


class GrammarRejected(Exception):
    """A backend cannot load a grammar."""


class LoadedGrammar(Protocol):
    """The state of a grammar after some tokens."""

    def accept(self, token: int) -> bool: ...
    def is_accepting(self) -> bool: ...
    def mask(self) -> Mask: ...


class LLGuidanceGrammar:
    """A grammar in llguidance.

    With `forcing`, only the tokenizer's choice is allowed where the grammar forces the text.
    """

    def __init__(self, grammar: gbnf.Grammar, name: str = "qwen2", forcing: bool = True) -> None:
        option = "" if forcing else '%llguidance {"no_forcing": true}\n'
        text = LLMatcher.grammar_from_lark(option + gbnf.to_lark(grammar))
        self.matcher: Any = LLMatcher(tokenizer(name), text, log_level=0, limits=PARSER_LIMITS)
        self.size = vocabulary(name).size
        self.start: Any = self.matcher.deep_copy()
        if self.matcher.is_error():
            raise GrammarRejected(self.matcher.get_error())

    def reset(self) -> None:
        self.matcher = self.start.deep_copy()

    def accept(self, token: int) -> bool:
        return bool(self.matcher.try_consume_tokens([token]) == 1)

    def is_accepting(self) -> bool:
        return bool(self.matcher.is_accepting())

    def mask(self) -> Mask:
        words = np.zeros((self.size + 31) // 32, dtype=np.int32)
        self.matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        return np.unpackbits(words.view(np.uint8), bitorder="little")[: self.size].astype(bool)

    def error(self) -> str:
        return str(self.matcher.get_error()) if self.matcher.is_error() else ""


class LlamaCppGrammar:
    """A grammar in llama.cpp's sampler."""

    def __init__(self, grammar: gbnf.Grammar | str, name: str = "qwen2") -> None:
        self.sampler: Any = None
        self.name = name
        text = grammar if isinstance(grammar, str) else gbnf.to_gbnf(grammar)
        self.text = text.encode()
        self.reset()

    def reset(self) -> None:
        self.close()
        self.sampler = llama_cpp.llama_sampler_init_grammar(
            vocabulary(self.name).vocab, self.text, b"root"
        )
        if not self.sampler:
            raise GrammarRejected("llama.cpp cannot load the grammar")

    def close(self) -> None:
        if self.sampler:
            llama_cpp.llama_sampler_free(self.sampler)
            self.sampler = None

    def __del__(self) -> None:
        self.close()

    def allowed(self, tokens: Sequence[int]) -> Mask:
        """Return which of these tokens may come next."""
        data = np.zeros(len(tokens), dtype=TOKEN_DATA)
        data["id"] = tokens
        array = llama_cpp.llama_token_data_array()
        array.data = data.ctypes.data_as(llama_cpp.llama_token_data_p)
        array.size = len(tokens)
        array.selected = -1
        array.sorted = False
        llama_cpp.llama_sampler_apply(self.sampler, ctypes.byref(array))
        finite: Mask = np.isfinite(data["logit"])
        return finite

    def accept(self, token: int) -> bool:
        if not self.allowed([token])[0]:
            return False
        llama_cpp.llama_sampler_accept(self.sampler, token)
        return True

    def is_accepting(self) -> bool:
        return bool(self.allowed([vocabulary(self.name).end])[0])

    def mask(self) -> Mask:
        return self.allowed(range(vocabulary(self.name).size))

    def error(self) -> str:
        return ""


BACKENDS: dict[str, type[LLGuidanceGrammar] | type[LlamaCppGrammar]] = {
    "llguidance": LLGuidanceGrammar,
    "llama.cpp": LlamaCppGrammar,
}


def accepts(grammar: LLGuidanceGrammar | LlamaCppGrammar, tokens: Sequence[int]) -> bool:
    """Return whether a grammar accepts these tokens as a whole text."""
    grammar.reset()
    return all(map(grammar.accept, tokens)) and grammar.is_accepting()
