"""Holds the grammars of real JSON Schemas against instances that are known to be valid or not.

usage: python -m tests.benchmarks.conformance FILE.jsonl[.gz] [--tools-only]
           [--backend llguidance|llama.cpp] [--sample N] [--json] [--failures]

Each line of FILE is {"name": …, "schema": …, "tests": [{"data": …, "valid": …}, …]}. An instance
is written as JSON in the order of its keys and fed to the grammar as tokens of Qwen's vocabulary,
the end of the text included. A worker does the work, so that a crash is counted and not fatal.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import random
import statistics
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TOOLS = ("BFCL", "Glaive", "JME", "MCP")
PATIENCE = 10.0
"""Seconds that one schema may take with all its instances."""
MASKS = 100
"""Masks that are timed for one schema."""


@dataclass
class Outcome:
    """What came of one schema."""

    name: str
    refused: str = ""
    """Why there is no grammar, in the compiler's own words."""
    crash: str = ""
    exact: bool = True
    """The report has every keyword exact."""
    instances: int = 0
    wrong: list[tuple[int, bool, bool, bool]] = field(default_factory=list)
    """Instances not judged right: number, valid, accepted by the grammar, passed by the check."""
    compile_ms: float = 0.0
    load_ms: float = 0.0
    masks_ms: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """The grammar alone judges every instance right."""
        return not self.refused and not self.crash and all(v == a for _, v, a, _ in self.wrong)

    @property
    def checked(self) -> bool:
        """The grammar and the check after it judge every instance right."""
        return (
            not self.refused and not self.crash and all(v == (a and c) for _, v, a, c in self.wrong)
        )

    @property
    def right(self) -> int:
        """How many instances are judged right by the grammar and the check."""
        if self.refused or self.crash:
            return 0
        return self.instances - sum(v != (a and c) for _, v, a, c in self.wrong)

    def accepted(self, check: bool) -> bool:
        """Some invalid instance is accepted."""
        return any(not v and a and (c or not check) for _, v, a, c in self.wrong)

    def denied(self, check: bool) -> bool:
        """Some valid instance is refused."""
        return any(v and not (a and (c or not check)) for _, v, a, c in self.wrong)


def judged(line: Mapping[str, Any], backend: str, masks: bool) -> Outcome:
    """Compile a schema and hold its grammar against its instances."""
    from tests.fakes.grammar_backends import BACKENDS, GrammarRejected, accepts, vocabulary
    from xlam_local.errors import SchemaError, Unsatisfiable
    from xlam_local.gbnf import to_gbnf, to_lark
    from xlam_local.grammar import compile_schema
    from xlam_local.schema import validate

    outcome = Outcome(name(line), instances=len(line["tests"]))
    start = time.perf_counter()
    try:
        grammar, report = compile_schema(line["schema"])
        (to_lark if backend == "llguidance" else to_gbnf)(grammar)
    except Unsatisfiable:
        # A grammar that matches nothing refuses each instance, and no program loads it.
        outcome.wrong = [
            (n, True, False, True) for n, test in enumerate(line["tests"]) if test["valid"]
        ]
        return outcome
    except SchemaError as error:
        outcome.refused = str(error)
        return outcome
    outcome.compile_ms = (time.perf_counter() - start) * 1e3
    outcome.notes = [
        f"{e.keyword}: {e.reason}" for e in report if e.status in ("checked", "refused")
    ]
    outcome.exact = not outcome.notes
    start = time.perf_counter()
    try:
        running = BACKENDS[backend](grammar)
    except GrammarRejected as error:
        outcome.crash = f"not loaded: {error}"
        return outcome
    outcome.load_ms = (time.perf_counter() - start) * 1e3
    for number, test in enumerate(line["tests"]):
        tokens = vocabulary().tokens(json.dumps(test["data"], ensure_ascii=False))
        taken = accepts(running, tokens)
        outcome.crash = outcome.crash or running.error()
        passed = not validate(test["data"], line["schema"])
        if (taken, passed) != (test["valid"], test["valid"]):
            outcome.wrong.append((number, test["valid"], taken, passed))
        if masks and test["valid"] and not outcome.masks_ms:
            outcome.masks_ms = list(timed(running, tokens))
    return outcome


def timed(running: Any, tokens: Sequence[int]) -> Iterator[float]:
    """Milliseconds for each mask along a text."""
    running.reset()
    for token in tokens[:MASKS]:
        start = time.perf_counter()
        running.mask()
        yield (time.perf_counter() - start) * 1e3
        if not running.take(token):
            return


def name(line: Mapping[str, Any]) -> str:
    return str(line.get("name") or f"{line.get('keyword')}: {line.get('description')}")


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, packed or not."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def work(pipe: Connection, backend: str, masks: bool) -> None:
    """Judge what comes in until nothing comes any more."""
    while (line := pipe.recv()) is not None:
        try:
            pipe.send(judged(line, backend, masks))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            crash = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
            pipe.send(Outcome(name(line), crash=crash, instances=len(line["tests"])))


class Worker:
    """A process that judges lines, and is replaced when it dies or takes too long."""

    def __init__(self, backend: str, masks: bool) -> None:
        self.arguments = (backend, masks)
        self.start()

    def start(self) -> None:
        self.pipe, inner = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(
            target=work, args=(inner, *self.arguments), daemon=True
        )
        self.process.start()
        inner.close()
        self.fresh = True

    def judge(self, line: Mapping[str, Any]) -> Outcome:
        self.pipe.send(line)
        patience = PATIENCE + (20 if self.fresh else 0)
        self.fresh = False
        try:
            if self.pipe.poll(patience):
                found: Outcome = self.pipe.recv()
                return found
            problem = f"over {PATIENCE:.0f} s"
        except EOFError:
            problem = "crash"
        self.process.kill()
        self.process.join()
        self.start()
        return Outcome(name(line), crash=problem, instances=len(line["tests"]))


def outcomes(chosen: list[dict[str, Any]], backend: str, masks: bool) -> Iterator[Outcome]:
    worker = Worker(backend, masks)
    for line in chosen:
        yield worker.judge(line)
    worker.pipe.send(None)


def summary(found: list[Outcome]) -> dict[str, Any]:
    """The figures of all outcomes together."""
    times = sorted(each.compile_ms for each in found if not each.refused) or [0.0]
    loads = sorted(each.load_ms for each in found if not each.refused) or [0.0]
    masks = sorted(ms for each in found for ms in each.masks_ms) or [0.0]
    total = len(found) or 1
    instances = sum(each.instances for each in found)
    return {
        "schemas": len(found),
        "instances": sum(each.instances for each in found),
        "pass_by_grammar_alone": round(100 * sum(each.alone for each in found) / total, 2),
        "pass_with_check": round(100 * sum(each.checked for each in found) / total, 2),
        "instances_right_with_check": round(
            100 * sum(each.right for each in found) / max(instances, 1), 2
        ),
        "wrongly_accepted": sum(each.accepted(check=False) for each in found),
        "wrongly_accepted_where_exact": sum(
            each.exact and each.accepted(check=False) for each in found
        ),
        "wrongly_accepted_with_check": sum(each.accepted(check=True) for each in found),
        "wrongly_refused": sum(each.denied(check=False) for each in found),
        "refused_aloud": sum(bool(each.refused) for each in found),
        "crashes": sum(bool(each.crash) for each in found),
        "compile_ms": {"p50": _at(times, 0.5), "p99": _at(times, 0.99), "max": times[-1]},
        "load_ms": {"p50": _at(loads, 0.5), "p99": _at(loads, 0.99)},
        "mask_ms": {"mean": round(statistics.fmean(masks), 4), "p99": _at(masks, 0.99)},
    }


def _at(values: list[float], part: float) -> float:
    return round(values[min(int(len(values) * part), len(values) - 1)], 3)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.conformance")
    parser.add_argument("file", type=Path)
    parser.add_argument("--tools-only", action="store_true", help="schemas that look like tools")
    parser.add_argument("--others-only", action="store_true", help="all other schemas")
    parser.add_argument("--backend", choices=["llguidance", "llama.cpp"], default="llguidance")
    parser.add_argument("--sample", type=int, help="so many schemas, always the same ones")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--failures", action="store_true", help="each schema that does not pass")
    parser.add_argument("--no-masks", action="store_true", help="do not time masks")
    options = parser.parse_args()
    chosen = lines(options.file)
    if options.tools_only or options.others_only:
        chosen = [line for line in chosen if name(line).startswith(TOOLS) == options.tools_only]
    if options.sample and options.sample < len(chosen):
        chosen = random.Random(1).sample(chosen, options.sample)
    found = []
    for outcome in outcomes(chosen, options.backend, not options.no_masks):
        found.append(outcome)
        if options.failures and not (outcome.alone and outcome.checked):
            print(json.dumps({**asdict(outcome), "masks_ms": []}), file=sys.stderr, flush=True)
    figures = summary(found)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for key, value in figures.items():
            print(f"{key.replace('_', ' '):32} {value}")


if __name__ == "__main__":
    main()
