"""How busy a server is: what runs, and what waits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import RemoteError
from .http import RemoteClient

METRICS = {
    "running": re.compile(
        r"^(?:vllm:num_requests_running|sglang:num_running_reqs)\S* (\S+)$", re.M
    ),
    "waiting": re.compile(r"^(?:vllm:num_requests_waiting|sglang:num_queue_reqs)\S* (\S+)$", re.M),
}
"""The lines of vLLM's and SGLang's metrics."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """The requests of a server; None if it does not say."""

    running: int | None = None
    waiting: int | None = None


def server_load(client: RemoteClient) -> ServerLoad:
    """Ask a server how busy it is: xlam-local, llama-server, vLLM or SGLang."""
    try:
        health = client.get("/health")
    except RemoteError:
        health = None
    if isinstance(health, dict) and isinstance(health.get("requests_running"), int):
        return ServerLoad(health["requests_running"], health.get("requests_waiting"))
    try:
        slots = client.get("/slots")
    except RemoteError:
        slots = None
    if isinstance(slots, list):
        busy = [slot for slot in slots if isinstance(slot, dict) and slot.get("is_processing")]
        return ServerLoad(len(busy))
    try:
        text = client.get_text("/metrics")
    except RemoteError:
        return ServerLoad()
    return ServerLoad(*(_value(pattern, text) for pattern in METRICS.values()))


def _value(pattern: re.Pattern[str], text: str) -> int | None:
    """Return the sum of a metric over all its labels; None if there is none."""
    try:
        values = [int(float(number)) for number in pattern.findall(text)]
    except (ValueError, OverflowError):
        return None
    return sum(values) if values else None
