"""Find out by asking what a server is and what it can do. Names are never trusted."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import prompt
from ..errors import UsageError
from ..prompt import Family, PromptFormat, Template, Vocabulary
from ..prompt.special_tokens import is_markup
from ..types import Notice, PromptPart, Sampling
from .address import RemoteAddress
from .errors import RemoteError
from .http import DEFAULT_TIMEOUTS, RemoteClient, Timeouts
from .probe_cache import ProbeCache
from .remote_engine import Enforcement, RemoteEngine, ServerInfo
from .reply_stream import line_data
from .server_kinds import LLAMA_SERVER, OPENAI, ROUTES, XLAM_LOCAL, Question, ServerKind
from .tokenizer import RemoteTokenizer

Json = Any
MARKUP = re.compile(r"<[^\s<>]{1,80}>|\[[^\s\[\]]{1,80}\]")
IDENTIFYING_PROPERTIES = (
    *("version", "build_info", "model_path", "prompt_format", "chat_template"),
    *("bos_token", "eos_token", "media_marker"),  # llama-server draws the marker at each start
)
ALLOWS_YES = 'root ::= "yes"\n'
BROKEN = "root ::= (\n"
PROBE_WORDS = ("yes", "no")
"""A server that ignores a JSON Schema does not write both, each alone."""
PROBE_PROMPT = "Is water wet? Answer yes or no:"
PROBE_TOKENS = 8
ARCHITECTURES = ("qwen2", "llama")
"""The architectures of xLAM-2 models."""


@dataclass(frozen=True, slots=True)
class _Identified:
    """A server's kind, and its answers about itself."""

    kind: ServerKind
    properties: Mapping[str, Json]
    """The answer by which it was recognized."""
    models: tuple[Mapping[str, Json], ...]
    """The entries of `/v1/models`."""


def connect(
    address: RemoteAddress,
    default_context: int,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    cache: Path | None = None,
) -> Generator[Notice, None, RemoteEngine]:
    """Connect to a server and return an engine; `default_context` is for servers without one.

    What is found out about the server is kept in the file `cache` for a day.

    Raises:
        RemoteError: there is no server, or its answers are invalid.
        UsageError: the key is invalid, the server lacks the model, or its prompt format is unknown.
    """
    if not address.is_local and not address.is_encrypted:
        yield Notice(
            f"The connection to {address.host} is not encrypted: everyone between here and there "
            "can read the conversation and the key. Use https if you can."
        )
    client = RemoteClient(address, address.key(), timeouts)
    found = _identify(client)
    model = _choose_model(found, address)
    tokenizer = RemoteTokenizer(client, found.kind, model) if found.kind.takes_tokens else None
    if tokenizer is None:
        yield Notice(
            f"{found.kind.title} takes no token ids, so special tokens in texts are broken up with "
            "zero-width spaces, and it takes JSON Schemas at most instead of grammars. vLLM, "
            "SGLang, llama-server and xlam-local take both."
        )
    prompt_format, enforces = _findings(client, found, model, tokenizer, ProbeCache(cache))
    server = ServerInfo(
        kind=found.kind,
        version=str(found.properties.get("version") or found.properties.get("build_info") or ""),
        model=model,
        context_size=_context_size(found, model) or default_context,
        sequences=_positive(found.properties.get("total_slots")) or found.kind.sequences,
        prompt_format=prompt_format,
        enforces=enforces,
    )
    return RemoteEngine(client, server, tokenizer)


def _findings(
    client: RemoteClient,
    found: _Identified,
    model: str,
    tokenizer: RemoteTokenizer | None,
    cache: ProbeCache,
) -> tuple[PromptFormat, Enforcement]:
    """Return the prompt format, and what the server enforces, after checking the tokenizer."""
    address = client.address
    properties = {name: found.properties.get(name) for name in IDENTIFYING_PROPERTIES}
    key = {
        "url": address.url,
        "model": model,
        "format": address.prompt_format,
        "kind": found.kind.title,
        **properties,
    }
    if known := cache.get(key):
        with suppress(KeyError, TypeError, AttributeError, ValueError):
            return prompt.format_from_json(known["prompt_format"]), Enforcement(known["enforces"])
    if tokenizer is not None:
        tokenizer.check()
    prompt_format = _prompt_format(found, model, address, tokenizer)
    enforces = _enforcement(_Probe(client, found.kind, model, tokenizer))
    written = prompt.format_to_json(prompt_format)
    cache.put(key, {"prompt_format": written, "enforces": enforces})
    return prompt_format, enforces


def _identify(client: RemoteClient) -> _Identified:
    """Return the kind of a server by the routes that it has."""
    answers: dict[str, Mapping[str, Json]] = {}
    for path, kind, matches in ROUTES:
        if path not in answers:
            answers[path] = _get(client, path)
        if matches(answers[path]):
            return _Identified(kind, answers[path], _models(client))
    models = _models(client)
    if not models:
        raise RemoteError(
            f"{client.address.url} is no server that xlam-local knows: it has neither the routes "
            "of vLLM, SGLang, llama-server, Ollama and xlam-local, nor /v1/models."
        )
    return _Identified(OPENAI, {}, models)


def _get(client: RemoteClient, path: str) -> Mapping[str, Json]:
    """Return the object at a path; empty if the server has none there."""
    try:
        answer = client.get(path)
    except RemoteError as error:
        # Without any answer, or without a valid key, other paths would fail as well.
        if error.status in (0, 401, 403) and "not JSON" not in str(error):
            raise
        return {}
    return answer if isinstance(answer, dict) else {}


def _models(client: RemoteClient) -> tuple[Mapping[str, Json], ...]:
    entries = _get(client, "/v1/models").get("data")
    listed = entries if isinstance(entries, list) else []
    return tuple(
        entry for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    )


def _choose_model(found: _Identified, address: RemoteAddress) -> str:
    """Return the id of the model to use.

    Raises:
        UsageError: the server does not have it, or has several and none was named.
    """
    ids = [str(entry["id"]) for entry in found.models]
    if address.model and address.model not in ids:
        known = ", ".join(ids) or "none"
        raise UsageError(f"{address.url} has no model {address.model!r}; it has: {known}.")
    if address.model or len(ids) == 1:
        return address.model or ids[0]
    if not ids:
        raise RemoteError(f"{address.url}/v1/models lists no model.")
    names = ", ".join(f"{address.url}#{name}" for name in ids)
    raise UsageError(f"{address.url} has several models. Name one: {names}.")


def _context_size(found: _Identified, model: str) -> int:
    entry = next((each for each in found.models if each["id"] == model), {})
    meta, settings = entry.get("meta"), found.properties.get("default_generation_settings")
    candidates = (
        settings.get("n_ctx") if isinstance(settings, dict) else None,
        entry.get("max_model_len"),
        meta.get("n_ctx") if isinstance(meta, dict) else None,
    )
    return next(filter(None, map(_positive, candidates)), 0)


def _positive(value: Json) -> int:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and value > 0 else 0


def _prompt_format(
    found: _Identified, model: str, address: RemoteAddress, tokenizer: RemoteTokenizer | None
) -> PromptFormat:
    """Return how the model's prompts are written; its special tokens must be the server's.

    Raises:
        UsageError: it is unknown.
    """
    if found.kind is XLAM_LOCAL:
        try:
            return prompt.format_from_json(found.properties["prompt_format"])
        except (KeyError, TypeError, AttributeError) as error:
            raise RemoteError(f"{address.url}/props has an invalid prompt_format.") from error
    template = str(found.properties.get("chat_template") or "")
    for family in _families(model, template, address.prompt_format):
        texts = family.special_tokens
        if tokenizer is None or all(tokenizer.special_token(text) is not None for text in texts):
            return family
    if found.kind is LLAMA_SERVER and template and tokenizer is not None:
        return _template(found, template, tokenizer)
    raise UsageError(
        f"The prompt format of {model} on {address.url} is unknown: it is no xLAM-2 model by its "
        'name and special tokens. If it is one, add `format = "qwen"` or `"llama"` to its '
        "entry in models.toml."
    )


def _families(model: str, template: str, wanted: str) -> Iterator[Family]:
    """Yield the families that a model may be of, the likelier one first."""
    if wanted:
        yield prompt.FAMILIES[wanted]
        return
    for architecture in sorted(ARCHITECTURES, key=lambda name: name not in model.lower()):
        names = {"general.name": model, "general.architecture": architecture}
        family = prompt.xlam_family({**names, "tokenizer.chat_template": template})
        if family is not None:
            yield family


def _template(found: _Identified, source: str, tokenizer: RemoteTokenizer) -> Template:
    """Return the chat template of a llama-server, with the special tokens that it writes."""
    bos, eos = (_token_text(found.properties.get(key)) for key in ("bos_token", "eos_token"))
    candidates = {bos, eos, *_markup(source)} - {""}
    specials = [text for text in sorted(candidates) if tokenizer.special_token(text) is not None]
    vocabulary = Vocabulary(tuple(specials), bos=bos, eos=eos)
    detected = prompt.detect_format({"tokenizer.chat_template": source}, vocabulary)
    assert isinstance(detected, Template)
    return detected


def _token_text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _markup(source: str) -> set[str]:
    """Return what looks like special tokens in a chat template."""
    return set(filter(is_markup, MARKUP.findall(source)))


@dataclass(frozen=True, slots=True)
class _Probe:
    """Asks a server for one word."""

    client: RemoteClient
    kind: ServerKind
    model: str
    tokenizer: RemoteTokenizer | None

    def answer(self, grammar: str | None, schema: Mapping[str, Json] | None = None) -> str:
        """Return what the server writes within a grammar or a JSON Schema."""
        prompt, sampling = PROBE_PROMPT, Sampling(max_tokens=PROBE_TOKENS)
        written = self.tokenizer.tokenize((PromptPart(prompt),)) if self.tokenizer else prompt
        question = Question(self.model, written, grammar, sampling, schema)
        url, text = self.client.address.url, ""
        reader = self.kind.reader(url)
        with closing(self.client.stream(self.kind.path, self.kind.body(question))) as lines:
            for line in lines:
                if line is not None:
                    data = line_data(line, url, events=self.kind.events)
                    text += "" if data is None else reader.read(data).text
        return text.strip()


def _enforcement(probe: _Probe) -> Enforcement:
    """Return what a server enforces: grammars if it takes token ids, else JSON Schemas at most."""
    try:
        if probe.tokenizer is None:
            return Enforcement.JSON_SCHEMA if _enforces_schema(probe) else Enforcement.NOTHING
        return Enforcement.GRAMMAR if _enforces_grammar(probe) else Enforcement.NOTHING
    except RemoteError as error:
        if not 400 <= error.status < 500:
            raise
        return Enforcement.NOTHING


def _enforces_grammar(probe: _Probe) -> bool:
    """Return whether a server keeps to a grammar, and refuses a broken one."""
    if probe.answer(ALLOWS_YES) != "yes":
        return False
    try:
        probe.answer(BROKEN)
    except RemoteError:
        return True
    return False


def _enforces_schema(probe: _Probe) -> bool:
    """Return whether a server keeps to a JSON Schema."""
    return all(
        probe.answer(None, {"type": "string", "enum": [word]}) == f'"{word}"'
        for word in PROBE_WORDS
    )
