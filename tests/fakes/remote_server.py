"""A fake of vLLM, SGLang, Ollama and llama-server, which can misbehave. Tokens are bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes.http_host import HttpHost, Responder, http_host, respond

Json = Any
SPECIAL = {"<|im_start|>": 300, "<|im_end|>": 301}
CALL = '[{"name": "add", "arguments": {"a": 2, "b": 3}}]'
GRAMMAR_FIELDS: dict[str, Callable[[Json], Json]] = {
    "vLLM": lambda body: body.get("structured_outputs", {}).get("grammar"),
    "SGLang": lambda body: body.get("ebnf"),
    "llama-server": lambda body: body.get("grammar"),
    "Ollama": lambda body: None,
    "OpenAI": lambda body: None,
}
Failure = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class FakeServer:
    """What the server is, what it replies, and what it was asked."""

    kind: str
    host: HttpHost
    text: str = CALL
    model: str = "Salesforce/xLAM-2-32b-fc-r"
    enforces_grammar: bool = True
    enforces_schema: bool = False
    """Whether Ollama and other servers without grammars enforce a JSON Schema."""
    failures: list[Failure] = field(default_factory=list)
    """What answers the next requests for replies instead."""
    always: Failure | None = None
    bodies: list[Json] = field(default_factory=list)
    prompt_tokens: int | None = None
    """What it reports instead of the true number."""
    events: Callable[[list[Json]], Sequence[Json]] = list
    """Changes the events of a reply."""

    @property
    def url(self) -> str:
        return self.host.url

    def reply(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(self.host.requests[-1].body)
        grammar = GRAMMAR_FIELDS[self.kind](body)
        is_probe = "water" in _text(body["prompt"])
        if not is_probe:
            self.bodies.append(body)
            if self.always or self.failures:
                (self.always or self.failures.pop(0))(request)
                return
        if is_probe and grammar and "(" in grammar and self.enforces_grammar:
            error = {"error": {"message": "failed to parse grammar", "code": 400}}
            respond(json.dumps(error).encode(), status=400)(request)
            return
        text = self._probe_answer(body) if is_probe else self.text
        prompt_tokens = len(body["prompt"]) if self.prompt_tokens is None else self.prompt_tokens
        lines = self.events(_events(self.kind, text, prompt_tokens))
        send_lines(request, self.kind, lines)

    def _probe_answer(self, body: Json) -> str:
        if (schema := schema_of(body)) is not None:
            return json.dumps(schema["enum"][0]) if self.enforces_schema else "No."
        return "yes" if self.enforces_grammar else "No."

    def tokenize(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(self.host.requests[-1].body)
        special = body.get("parse_special", True)
        text = body.get("content", body.get("prompt"))
        answer({"tokens": tokens(text, special)})(request)

    def detokenize(self, request: BaseHTTPRequestHandler) -> None:
        text = _text(json.loads(self.host.requests[-1].body)["tokens"])
        answer({"content": text, "prompt": text})(request)


def schema_of(body: Json) -> Json:
    """Return the JSON Schema of a request to Ollama, or to a server with OpenAI's completions."""
    return body.get("format") or body.get("response_format", {}).get("json_schema", {}).get(
        "schema"
    )


def tokens(text: str, special: bool = True) -> list[int]:
    """Return the tokens of a text: special tokens, and bytes."""
    for word, token in SPECIAL.items():
        if special and word in text:
            before, _, after = text.partition(word)
            return [*tokens(before), token, *tokens(after)]
    return list(text.encode())


def _text(prompt: Json) -> str:
    if isinstance(prompt, str):
        return prompt
    words = {token: word for word, token in SPECIAL.items()}
    data = b"".join(words[t].encode() if t in words else bytes([t]) for t in prompt)
    return data.decode("utf-8", "replace")


def _events(kind: str, text: str, prompt_tokens: int) -> list[Json]:
    pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
    if kind == "llama-server":
        end = {"stop": True, "stop_type": "eos", "tokens_evaluated": prompt_tokens, "content": ""}
        return [*({"content": piece, "stop": False} for piece in pieces), end]
    if kind == "Ollama":
        return [*({"response": piece} for piece in pieces), {"done": True, "done_reason": "stop"}]
    head = {"id": "cmpl-1", "object": "text_completion"}
    chunks: list[Json] = [
        {**head, "choices": [{"index": 0, "text": piece, "finish_reason": None}]}
        for piece in pieces
    ]
    chunks.append({**head, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(pieces)}
    return [*chunks, {**head, "choices": [], "usage": usage}]


def answer(value: Json, status: int = 200) -> Responder:
    return respond(json.dumps(value).encode(), "application/json", status)


def send_lines(request: BaseHTTPRequestHandler, kind: str, lines: Sequence[Json]) -> None:
    """Send the events of a reply; a text among them is sent as it is."""
    request.send_response(200)
    request.end_headers()
    for line in lines:
        text = line if isinstance(line, str) else json.dumps(line)
        if kind != "Ollama" and not isinstance(line, str):
            text = f"data: {text}\n"
        request.wfile.write(f"{text}\n".encode())
        request.wfile.flush()


def status(code: int, **headers: str) -> Failure:
    """Return a failure with an HTTP status."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return respond(b'{"error": {"message": "too busy"}}', status=code, headers=names)


def hang(request: BaseHTTPRequestHandler) -> None:
    """Accept the request, and send nothing for a while."""
    request.send_response(200)
    request.end_headers()
    request.wfile.flush()
    time.sleep(2)


@contextmanager
def remote_server(kind: str = "vLLM", **options: Any) -> Iterator[FakeServer]:
    """Yield a running server of a kind: vLLM, SGLang, llama-server, Ollama or OpenAI."""
    with http_host() as host:
        server = FakeServer(kind, host, **options)
        model = {"id": server.model, "max_model_len": 4096}
        host.responders = {
            "/v1/models": answer({"data": [model]}),
            "/tokenize": server.tokenize,
            "/detokenize": server.detokenize,
        }
        path = {"llama-server": "/completion", "Ollama": "/api/generate"}
        host.responders[path.get(kind, "/v1/completions")] = server.reply
        settings = {"default_generation_settings": {"n_ctx": 2048}, "total_slots": 4}
        about = {
            "vLLM": ("/version", {"version": "0.33.0"}),
            "SGLang": ("/server_info", {"model_path": "x", "version": "0.5.23"}),
            "llama-server": ("/props", {**settings, "build_info": "b1", "chat_template": "x"}),
            "Ollama": ("/api/version", {"version": "0.40.0"}),
        }
        if kind in about:
            place, found = about[kind]
            host.responders[place] = answer(found)
        yield server
