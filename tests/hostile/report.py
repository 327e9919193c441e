"""The report on the hostile tests: how many attempts were made and held, by category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

CATEGORIES = {
    "broad_folders": "files with credentials",
    "concurrent_writers": "several programs writing at once",
    "confusable_text": "hosts and text that look like others",
    "control_tokens": "control tokens in text",
    "download_disk": "downloads",
    "download_kills": "downloads",
    "engine_kills": "kills of the engine",
    "executed_files": "files that other programs execute",
    "grammar_schemas": "schemas",
    "grants_bind": "grants and trust",
    "history_damage": "damaged history files",
    "isolated_view": "sandbox levels",
    "leftover_processes": "leftover processes",
    "mcp_launch": "MCP servers",
    "mcp_servers": "MCP servers",
    "other_arguments": "rules that allow",
    "permissions_allow": "rules that allow",
    "permissions_deny": "rules that deny",
    "permissions_grants": "grants and trust",
    "private_files": "private files",
    "sandbox_levels": "sandbox levels",
    "schema_validation": "schemas",
    "server": "HTTP server",
    "settings_links": "settings that are links",
    "taint_sources": "exfiltration",
    "template_limits": "chat templates",
    "terminal_output": "terminal output",
    "tools_commands": "tools",
    "tools_http": "tools",
    "tools_paths": "tools",
    "tools_results": "tools",
    "tools_trust": "grants and trust",
    "tools_workers": "tools",
    "type_ahead": "type-ahead",
}
"""The category of each file, by its name without `test_`. Each test of it is one attempt."""
MIN_ATTEMPTS = 400
"""How many attempts there must be in all."""


def category(node_id: str) -> str:
    """Return the category of a test; the file's name if the table does not have it."""
    name = node_id.partition("::")[0].rpartition("/")[2].removesuffix(".py").removeprefix("test_")
    return CATEGORIES.get(name, name.replace("_", " "))


def report_lines(outcomes: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the report from the outcome of each test."""
    attempts: Counter[str] = Counter()
    held: Counter[str] = Counter()
    through: Counter[str] = Counter()
    for node_id, outcome in outcomes.items():
        attempts[category(node_id)] += 1
        held[category(node_id)] += outcome == "passed"
        through[category(node_id)] += outcome == "failed"
    yield f"{'category':<40} {'attempts':>8} {'held':>8} {'through':>8} {'not run':>8}"
    for name in sorted(attempts):
        yield _line(name, attempts[name], held[name], through[name])
    yield _line("all", attempts.total(), held.total(), through.total())


def _line(name: str, attempts: int, held: int, through: int) -> str:
    return f"{name:<40} {attempts:>8} {held:>8} {through:>8} {attempts - held - through:>8}"
