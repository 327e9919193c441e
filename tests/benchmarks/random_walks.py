"""Random walks through grammars: what they write is valid, and both backends allow the same.

usage: python -m tests.benchmarks.random_walks FILE.jsonl[.gz] [--compare]
           [--vocabulary qwen2|llama-bpe] [--first N] [--schemas N] [--strings N] [--steps N]
           [--patience N] [--seed N]

Each schema is a tool's, and each text one call. Tokens are drawn at random out of those that
llguidance allows, with a liking for those that bring a value to its end. Each text that ends is
read as JSON and checked against its schema. With --compare, llama.cpp's own sampler is asked at
each step about every token of the vocabulary; special tokens are left out, as are bytes that
begin no character: llama.cpp reads UTF-8 leniently. A schema that takes over a minute is "late".
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.conformance import lines, name
from tests.fakes.grammar_backends import (
    GrammarRejected,
    LlamaCppGrammar,
    LLGuidanceGrammar,
    Mask,
    vocabulary,
)
from xlam_local.grammar import compile_tools
from xlam_local.schema import validate
from xlam_local.types import Tool

INSIDE = (rb'"[}\]]+', b'"')
OUTSIDE = (rb"[}\]]+", rb"[\[{][}\]]+", rb"true|null|\d", rb'[,:] ?"?|\W')


@lru_cache(maxsize=8)
def signs(vocabulary_name: str, pattern: bytes) -> Mask:
    """The tokens whose text is one of these signs."""
    known = vocabulary(vocabulary_name)
    wanted = re.compile(pattern)
    return np.array([bool(wanted.fullmatch(known.piece(token))) for token in range(known.size)])


class Text:
    """What a walk has written, and whether it stands inside a string."""

    def __init__(self) -> None:
        self.inside = self.escaped = False

    def add(self, piece: bytes) -> None:
        for byte in piece:
            if self.escaped:
                self.escaped = False
            elif byte == ord("\\"):
                self.escaped = self.inside
            elif byte == ord('"'):
                self.inside = not self.inside

    def liked(self, mask: Mask, vocabulary_name: str) -> Mask:
        """The tokens that bring the text to its end."""
        for pattern in INSIDE if self.inside else OUTSIDE:
            found = mask & signs(vocabulary_name, pattern)
            if found.any():
                return found
        return mask


@lru_cache(maxsize=2)
def plain(vocabulary_name: str) -> Mask:
    """The tokens that are text, special ones and stray bytes left out."""
    known = vocabulary(vocabulary_name)
    special: Mask = known.special
    whole = np.array([readable(known.piece(token)) for token in range(known.size)])
    kept: Mask = whole & ~special
    return kept


def readable(piece: bytes) -> bool:
    """Whether a token is whole characters."""
    try:
        return bool(piece.decode())
    except UnicodeDecodeError:
        return False


def walk(
    running: LLGuidanceGrammar,
    rng: random.Random,
    options: argparse.Namespace,
    beside: LlamaCppGrammar | None,
) -> Iterator[str | int]:
    """The tokens of one random text; a word where the walk ends badly."""
    running.reset()
    vocabulary_name, patience = options.vocabulary, options.patience
    known, text = plain(vocabulary_name), Text()
    generator = np.random.default_rng(rng.getrandbits(32))
    for step in range(options.steps):
        MASKS["masks"] += 1
        mask = running.mask() & known
        if running.error():
            yield f"error {running.error()[:80]}"
            return
        ended = running.is_accepting()
        if beside is not None:
            other = beside.mask() & known
            if (other != mask).any() or ended != beside.is_accepting():
                tokens = np.flatnonzero(other != mask)[:3]
                pieces = [vocabulary(vocabulary_name).piece(int(t)) for t in tokens]
                yield f"differ at step {step}: {pieces}, ends {ended}"
                return
        if ended and (not mask.any() or rng.random() < 0.3 or step > patience):
            return
        if not mask.any():
            yield "stuck"
            return
        hurried = step > patience or rng.random() < 0.4
        chosen = text.liked(mask, vocabulary_name) if hurried else mask
        token = int(generator.choice(np.flatnonzero(chosen)))
        text.add(vocabulary(vocabulary_name).piece(token))
        if not running.accept(token) or (beside is not None and not beside.accept(token)):
            yield "not taken"
            return
        yield token
    yield "unfinished"


def verdict(tokens: list[int], vocabulary_name: str, schema: Any) -> str:
    """What is wrong with a text, or "valid"."""
    text = b"".join(vocabulary(vocabulary_name).piece(token) for token in tokens)
    try:
        value = json.loads(text)[0]["arguments"]
    except (ValueError, LookupError) as error:
        return f"no JSON: {error}: {text!r}"
    wrong = validate(value, schema)
    return f"invalid: {wrong[0]}: {text!r}" if wrong else "valid"


def walked(line: dict[str, Any], options: argparse.Namespace, count: int) -> Iterator[str]:
    """The verdicts on some random texts of one schema."""
    offer = compile_tools([Tool("f", "", line["schema"])], "f", parallel=False)
    if not offer.tools:
        yield "refused"
        return
    grammar = offer.grammar
    try:
        running = LLGuidanceGrammar(grammar, options.vocabulary, forcing=not options.compare)
    except GrammarRejected as error:
        yield f"not loaded: {error}"
        return
    exact = all(entry.status != "checked" for entry in offer.report)
    rng = random.Random(f"{options.seed} {name(line)}")
    for _ in range(count):
        try:
            beside = LlamaCppGrammar(grammar, options.vocabulary) if options.compare else None
        except GrammarRejected as error:
            yield f"not loaded: {error}"
            return
        tokens = list(walk(running, rng, options, beside))
        bad = [each for each in tokens if isinstance(each, str)]
        if bad:
            text = b"".join(
                vocabulary(options.vocabulary).piece(t) for t in tokens if isinstance(t, int)
            )
            yield f"{bad[0]} {text!r}"
            continue
        found = verdict(
            [each for each in tokens if isinstance(each, int)], options.vocabulary, line["schema"]
        )
        yield found if exact or not found.startswith("invalid") else "left to the check"


def tried(line: dict[str, Any], options: argparse.Namespace, count: int) -> Iterator[str]:
    """The kinds of verdicts on one schema; bad ones are told on stderr."""
    try:
        for verdict_ in walked(line, options, count):
            word = verdict_.split(" ")[0].rstrip(":")
            if word in BAD:
                print(f"{name(line)}: {verdict_[:400]}", file=sys.stderr, flush=True)
            yield word
    except TimeoutError:
        yield "late"


MASKS = Counter[str]()
BAD = ("differ", "invalid", "no", "stuck", "not", "error")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.random_walks")
    parser.add_argument("file", type=Path)
    parser.add_argument("--compare", action="store_true", help="ask llama.cpp at each step")
    parser.add_argument("--vocabulary", choices=["qwen2", "llama-bpe"], default="qwen2")
    parser.add_argument("--first", type=int, default=0, help="schemas that are passed over")
    parser.add_argument("--schemas", type=int, default=2000)
    parser.add_argument("--strings", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=300, help="tokens of a text, at most")
    parser.add_argument("--patience", type=int, default=25, help="tokens before a text may end")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chosen = lines(options.file)
    random.Random(options.seed).shuffle(chosen)
    chosen = chosen[options.first : options.first + options.schemas]
    found: Counter[str] = Counter()
    start = time.monotonic()

    def late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    done = 0
    try:
        for line in chosen:
            signal.alarm(60)
            for word in tried(line, options, -(-options.strings // len(chosen))):
                found[word] += 1
            signal.alarm(0)
            done += 1
    except (KeyboardInterrupt, TimeoutError):
        # What was found until now is told all the same.
        signal.alarm(0)
    seconds = round(time.monotonic() - start)
    print(json.dumps({"schemas": done, "seconds": seconds, **MASKS, **found}, indent=2))


if __name__ == "__main__":
    main()
