"""The two programs that run a grammar, over a real vocabulary without weights."""

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

from xlam_local import gbnf
from xlam_local.engine.constraint import LIMITS

FOLDER = Path.home() / ".cache" / "xlam-local-tests"
VOCABULARIES = ("qwen2", "llama-bpe")

Mask = npt.NDArray[np.bool_]


class Vocabulary:
    """A tokenizer of llama.cpp's, with what each token writes."""

    def __init__(self, path: Path) -> None:
        @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
        def silent(level: int, text: bytes, data: object) -> None:
            pass

        llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
        self._silent = silent
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.end: int = llama_cpp.llama_vocab_eos(self.vocab)

    @property
    def special(self) -> Mask:
        """The tokens that are no text: control tokens, unused and user-defined ones."""
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
        """The tokens of a text, none of them special."""
        raw = text.encode()
        found = (llama_cpp.llama_token * (len(raw) + 8))()
        count = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), found, len(found), False, False)
        return list(found[:count])

    def piece(self, token: int) -> bytes:
        """What a token writes."""
        buffer = ctypes.create_string_buffer(1024)
        size = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 1024, 0, False)
        return buffer.raw[: max(size, 0)]


@lru_cache(maxsize=2)
def vocabulary(name: str = "qwen2") -> Vocabulary:
    return Vocabulary(FOLDER / f"ggml-vocab-{name}.gguf")


@lru_cache(maxsize=2)
def tokenizer(name: str = "qwen2") -> LLTokenizer:
    with warnings.catch_warnings():
        # llguidance uses a name of llama-cpp-python's that is going away.
        warnings.simplefilter("ignore", DeprecationWarning)
        return lltokenizer_from_vocab(vocabulary(name).vocab)


class Refusal(Exception):
    """An executor cannot load a grammar."""


class Executor(Protocol):
    """A grammar that takes tokens."""

    def take(self, token: int) -> bool: ...
    def ended(self) -> bool: ...
    def mask(self) -> Mask: ...


class Guidance:
    """A grammar in llguidance."""

    def __init__(self, grammar: gbnf.Grammar, name: str = "qwen2", forcing: bool = True) -> None:
        # When text is forced, llguidance allows only the token that its tokenizer would choose.
        option = "" if forcing else '%llguidance {"no_forcing": true}\n'
        text = LLMatcher.grammar_from_lark(option + gbnf.lark(grammar))
        self.matcher: Any = LLMatcher(tokenizer(name), text, log_level=0, limits=LIMITS)
        self.size = vocabulary(name).size
        self.start: Any = self.matcher.deep_copy()
        if self.matcher.is_error():
            raise Refusal(self.matcher.get_error())

    def reset(self) -> None:
        self.matcher = self.start.deep_copy()

    def take(self, token: int) -> bool:
        return bool(self.matcher.try_consume_tokens([token]) == 1)

    def ended(self) -> bool:
        return bool(self.matcher.is_accepting())

    def mask(self) -> Mask:
        words = np.zeros((self.size + 31) // 32, dtype=np.int32)
        self.matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        return np.unpackbits(words.view(np.uint8), bitorder="little")[: self.size].astype(bool)

    def error(self) -> str:
        return str(self.matcher.get_error()) if self.matcher.is_error() else ""


class Sampler:
    """A grammar in llama.cpp's own sampler."""

    def __init__(self, grammar: gbnf.Grammar, name: str = "qwen2") -> None:
        self.handle: Any = None
        self.name = name
        self.text = gbnf.text(grammar).encode()
        self.reset()

    def reset(self) -> None:
        self.close()
        self.handle = llama_cpp.llama_sampler_init_grammar(
            vocabulary(self.name).vocab, self.text, b"root"
        )
        if not self.handle:
            raise Refusal("llama.cpp cannot load the grammar")

    def close(self) -> None:
        if self.handle:
            llama_cpp.llama_sampler_free(self.handle)
            self.handle = None

    def __del__(self) -> None:
        self.close()

    def allowed(self, tokens: Sequence[int]) -> Mask:
        """Which of these tokens may come next."""
        data = np.zeros(len(tokens), dtype=DATA)
        data["id"] = tokens
        array = llama_cpp.llama_token_data_array()
        array.data = data.ctypes.data_as(llama_cpp.llama_token_data_p)
        array.size = len(tokens)
        array.selected = -1
        array.sorted = False
        llama_cpp.llama_sampler_apply(self.handle, ctypes.byref(array))
        finite: Mask = np.isfinite(data["logit"])
        return finite

    def take(self, token: int) -> bool:
        if not self.allowed([token])[0]:
            return False
        llama_cpp.llama_sampler_accept(self.handle, token)
        return True

    def ended(self) -> bool:
        return bool(self.allowed([vocabulary(self.name).end])[0])

    def mask(self) -> Mask:
        return self.allowed(range(vocabulary(self.name).size))

    def error(self) -> str:
        return ""


DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True)
EXECUTORS: dict[str, type[Guidance] | type[Sampler]] = {
    "llguidance": Guidance,
    "llama.cpp": Sampler,
}


def accepts(executor: Guidance | Sampler, tokens: Sequence[int]) -> bool:
    """Whether the grammar takes these tokens and may end then."""
    executor.reset()
    return all(map(executor.take, tokens)) and executor.ended()
