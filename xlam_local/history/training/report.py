"""The report beside a training file: what is in it, what is not and why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ...openai_format import dumps
from ...prompt import QWEN, Family
from ...types import Message, ToolCalls

MIN_SHARE_WITHOUT_CALL = 0.2
SECRETS = {
    "API keys and tokens": re.compile(
        r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|hf_\w{20,}|xox[abps]-[\w-]{10,}"
        r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|glpat-[\w-]{16,}|npm_\w{30,}"
        r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+)"
    ),
    "private keys": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "passwords": re.compile(
        r"(?i)(?:password|passwd|secret|api[_-]?key|access[_-]?token)[\"'\\]*\s*[=:]\s*[\"'\\]*"
        r"[^\s\"'\\,;}{]{6,}|\bBearer [\w.~+/-]{16,}"
    ),
}
PERSONAL = {
    "mail addresses": re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]*\w"),
    "paths of home folders": re.compile(r"(?:/home/|/Users/|[A-Z]:\\+Users\\+)[\w.-]+"),
}
XLAM_LICENSE = (
    "xLAM-2 models have the license CC-BY-NC-4.0: their words, and models trained on them, are for "
    "research only."
)


@dataclass(slots=True)
class ExportReport:
    """Counts of an export."""

    conversations: int = 0
    row_count: int = 0
    reply_counts: tuple[int, int] = (0, 0)
    """The replies that are learned: those with calls, and those without."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many rows are left out, by reason."""
    lost: Counter[str] = field(default_factory=Counter)
    """How often something in a row has no place in the format."""
    found: Counter[str] = field(default_factory=Counter)
    """Secrets and personal data, by kind."""
    models: Counter[str] = field(default_factory=Counter)
    family: Family = QWEN
    """The base model whose prompts the rows, or the chat template beside them, write."""

    def leave_out(self, reason: str) -> None:
        """Count a row that is not written."""
        self.left_out[reason] += 1

    def lose(self, what: str) -> None:
        """Count something that the format has no place for."""
        self.lost[what] += 1

    def note_reply(self, message: Message) -> None:
        """Count a reply that is learned."""
        with_calls, without = self.reply_counts
        if isinstance(message, ToolCalls):
            self.reply_counts = (with_calls + 1, without)
        else:
            self.reply_counts = (with_calls, without + 1)

    def note_row(self, row: dict[str, Any], model: str) -> None:
        """Count a row, its model, and what looks like a secret in it."""
        self.row_count += 1
        self.models[model or "unknown"] += 1
        text = dumps(row)
        for name, pattern in (SECRETS | PERSONAL).items():
            self.found[name] += len(set(pattern.findall(text)))

    @property
    def replies(self) -> int:
        """How many replies are learned."""
        return sum(self.reply_counts)

    @property
    def share_without_call(self) -> float:
        """The share of the replies that are learned which have no call."""
        return self.reply_counts[1] / self.replies if self.replies else 0.0

    @property
    def secrets(self) -> int:
        """How many texts look like secrets."""
        return sum(self.found[name] for name in SECRETS)

    @property
    def warnings(self) -> list[str]:
        """What the user should know before training."""
        warnings = []
        if self.replies and self.share_without_call < MIN_SHARE_WITHOUT_CALL:
            warnings.append(
                f"Only {self.share_without_call:.0%} of the replies have no call. A "
                "model that is trained on calls alone calls too much; add answers without a call."
            )
        if self.secrets:
            warnings.append("Some texts look like secrets. Remove them before you share the file.")
        return warnings

    def text(self, form: str, losses: str) -> str:
        """Return the report as Markdown."""
        lines = [
            f"# Training data: {form}",
            "",
            losses,
            "",
            f"- conversations: {self.conversations}",
            f"- rows: {self.row_count}",
            f"- replies that are learned: {self.replies}, "
            f"{self.share_without_call:.0%} of them without a call",
            *(f"- from the model {name}: {count} rows" for name, count in self.models.items()),
            *_section("Left out", self.left_out),
            *_section("Lost in this format", self.lost),
            *_section("Secrets and personal data", +self.found),
            *(
                ["", "## Warnings", "", *(f"- {one}" for one in self.warnings)]
                if self.warnings
                else []
            ),
            "",
            "## License",
            "",
            XLAM_LICENSE
            if any("xlam" in name.lower() for name in self.models)
            else "The license of the model that wrote the replies applies.",
        ]
        return "\n".join(lines) + "\n"


def _section(title: str, counts: Counter[str]) -> list[str]:
    listed = [f"- {count}: {name}" for name, count in counts.most_common()]
    return ["", f"## {title}", "", *listed] if listed else []
