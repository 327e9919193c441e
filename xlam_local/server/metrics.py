"""Numbers about the server, in Prometheus's text format."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..types import Usage

PATH = "xlam_path"
"""The key of the scope under which the application notes the path of its route."""
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""The upper bounds of the histograms: from a health check to a long prompt on a CPU."""

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters and histograms since the start. Any thread may count."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"xlam_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"xlam_{name}", text, labels, registry=registry, buckets=BUCKETS_S)

        self.responses = counter("responses_total", "Responses.", "path", "status")
        self.refused = counter("requests_refused_total", "Requests refused: the queue was full.")
        self.request_seconds = histogram(
            "request_seconds", "Seconds from a request to the end of its response.", "path"
        )
        self.queue_seconds = histogram("queue_seconds", "Seconds that a request waited.")
        self.first_text_seconds = histogram(
            "first_text_seconds", "Seconds from a request to the first text or call of its reply."
        )
        self._prompt_tokens = counter("prompt_tokens_total", "Tokens of prompts.")
        self._cached_tokens = counter("cached_tokens_total", "Prompt tokens in the cache.")
        self._reply_tokens = counter("reply_tokens_total", "Tokens of replies.")
        self._prefill_seconds = counter("prefill_seconds_total", "Seconds of prompts.")
        self._decode_seconds = counter("decode_seconds_total", "Seconds of replies.")

    def add(self, usage: Usage) -> None:
        """Count the usage of a reply."""
        self._prompt_tokens.inc(usage.prompt_tokens)
        self._cached_tokens.inc(usage.cached_tokens)
        self._reply_tokens.inc(usage.reply_tokens)
        self._prefill_seconds.inc(usage.prefill_seconds)
        self._decode_seconds.inc(usage.decode_seconds)

    def watch(self, values: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """Add gauges: the help text of each, and the function that returns its value."""
        for name, (text, value) in values.items():
            gauge = Gauge(f"xlam_{name}", text, registry=self._registry)
            gauge.set_function(value)

    def text(self) -> str:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry).decode()


MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class MetricsMiddleware:
    """Counts every response by its route and status, and measures its seconds."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        started = time.monotonic()
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            # Paths that do not exist share a label: clients must not be able to add labels.
            path = scope.get(PATH) or (scope["path"] if scope["path"] in self._paths else "other")
            self._metrics.responses.labels(path, status or CLIENT_CLOSED_REQUEST).inc()
            self._metrics.request_seconds.labels(path).observe(time.monotonic() - started)


CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that has left; nobody reads it."""
