"""What the user lets run: policy.toml, the answers of this session, and the questions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from . import policy
from .errors import UsageError, XlamError
from .policy import Allowance, Asks, Deny, Policy, State
from .types import Always, Ask, Decision, Message, No, Once, Question, Tool, ToolCall

NAME = "policy.toml"


class Consent:
    """Decides on calls by the user's policy, and asks where it says so."""

    def __init__(
        self, rules: Policy | None = None, folder: Path = Path(), path: Path | None = None
    ) -> None:
        self.policy = rules or Policy()
        self.folder = folder.resolve()
        """The working folder."""
        self.path = path
        """Where answers are kept for good; nowhere when not set."""
        self.allowed: list[Allowance] = []
        """What is allowed until the session ends."""
        self._stamp = _stamp(path)

    @classmethod
    def open(cls, path: Path, folder: Path) -> Consent:
        """The consent that the policy at `path` gives, for a session in `folder`.

        Raises:
            UsageError: the file is not a policy; the message names the rule.
        """
        return cls(load(path), folder, path)

    def allow(self, tool: Tool) -> None:
        """Let a tool run unasked until the session ends."""
        self.allowed.append(Allowance(tool.name, tool.source, tool.place))

    def verdict(
        self, tool: Tool, call: ToolCall, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> policy.Verdict:
        """What the policy says of a call in a conversation."""
        return self._judge(tool, call, self._state(tool, messages, tools))

    def decide(
        self,
        question: tuple[Tool, ToolCall],
        messages: Sequence[Message],
        tools: Sequence[Tool],
        ask: Ask,
    ) -> Decision:
        """Decide on a call; `ask` is asked where the policy does not know."""
        tool, call = question
        state = self._state(tool, messages, tools)
        match self._judge(tool, call, state):
            case Deny(why):
                return No(why)
            case Asks(why, tainted):
                return self._asked(tool, call, state, Asks(why, tainted), ask)
            case _:
                return Once()

    def _judge(self, tool: Tool, call: ToolCall, state: State) -> policy.Verdict:
        """What the policy says, as it is in its file now; one that is broken denies."""
        if self.path is not None and (now := _stamp(self.path)) != self._stamp:
            try:
                self.policy = load(self.path)
            except UsageError as error:
                return Deny(str(error))
            self._stamp = now
        return policy.judge(self.policy, tool, call, state)

    def _asked(self, tool: Tool, call: ToolCall, state: State, asks: Asks, ask: Ask) -> Decision:
        # What is shown is a copy: nothing that is asked can change what runs.
        shown = ToolCall(call.id, call.name, deepcopy(dict(call.arguments)))
        preview = tool.preview(**deepcopy(dict(call.arguments))) if tool.preview else ""
        before = policy.allowance(tool, call, state, True, asks.tainted)
        decision = ask(Question(tool, shown, asks.why, preview, asks.tainted))
        if isinstance(decision, No):
            return decision
        if policy.allowance(tool, call, state, True, asks.tainted) != before:
            return No("What the call reaches has changed while it was asked about.")
        if isinstance(decision, Always):
            kept = (
                before
                if decision.exact
                else policy.allowance(tool, call, state, False, asks.tainted)
            )
            try:
                self._keep(kept, decision.keep)
            except XlamError as error:
                return No(f"It could not be allowed for good. {error}")
        return decision

    def _keep(self, allowance: Allowance, for_good: bool) -> None:
        if for_good and self.path is not None:
            remember(self.path, allowance)
        self.allowed.append(allowance)

    def _state(self, tool: Tool, messages: Sequence[Message], tools: Sequence[Tool]) -> State:
        read = policy.taint(messages, tools) if policy.carries(tool) else {}
        return State(self.folder, Path.home(), real, tuple(self.allowed), read)


def real(path: Path) -> Path | None:
    """A path with its links followed, as far as it exists; None if it is none."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return None


def unasked(question: Question) -> No:
    """The answer where nobody can be asked: what would let the call run."""
    settles = f"--allow {question.tool.name}"
    if question.tainted:
        settles = "a rule with `tainted = true` in policy.toml"
    return No(f"{question.why} Nobody can be asked here; {settles} would let it run.")


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What tells that a file has changed."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found is not None else None


def load(path: Path) -> Policy:
    """The policy in a file; an empty one where there is no file.

    Raises:
        UsageError: it cannot be read, or is not a policy.
    """
    try:
        return policy.parse(_text(path))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def remember(path: Path, allowance: Allowance) -> None:
    """Write an allowance into the policy at `path`, whole or not at all."""
    try:
        text = policy.remember(_text(path), allowance)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.resolve()
        fresh = whole.with_name(f".{whole.name}.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(whole)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except OSError as error:
        raise XlamError(f"{path} cannot be written: {error.strerror}.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise UsageError(f"It is not UTF-8 text: byte {error.start}.") from error
    except OSError as error:
        raise UsageError(f"It cannot be read: {error.strerror}.") from error
