"""Decide on calls: load policy.toml, keep the session's grants, prompt the user, save grants."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from .. import atomic_file, toml_values, user_file
from ..errors import UsageError, XlamError
from ..types import (
    AllowAlways,
    AllowOnce,
    ApprovalRequest,
    AskUser,
    Decision,
    Deny,
    Message,
    Tool,
    ToolCall,
)
from .confusable_hosts import host_warnings
from .context import PolicyContext
from .evaluate import (
    AllowVerdict,
    AskVerdict,
    DenyVerdict,
    Verdict,
    evaluate,
    grant_for_call,
    grant_for_tool,
)
from .rules import Grant, Policy, parse
from .save import add_grant
from .taint import can_exfiltrate, taint

POLICY_FILE = "policy.toml"


class Approver:
    """Decides on calls by the user's policy and asks the user if the policy says so.

    Args:
        policy: The rules and grants that apply until the file changes.
        cwd: The working folder.
        policy_path: The policy.toml to reload when it changes and to save grants in; without one,
            grants end with the session.
    """

    def __init__(
        self, policy: Policy | None = None, cwd: Path = Path(), policy_path: Path | None = None
    ) -> None:
        self.policy = policy or Policy()
        self.cwd = cwd.resolve()
        self.policy_path = policy_path
        self.session_grants: list[Grant] = []
        self.remote_host = ""
        """The host where the model runs; empty for this machine."""
        self._loaded_version = _file_version(policy_path)
        self._is_missing = False
        """Whether the policy's file has disappeared since it was loaded."""

    @classmethod
    def open(cls, policy_path: Path, cwd: Path) -> Approver:
        """Return an approver with the policy in a file; without the file, the policy is empty.

        Raises:
            UsageError: The file is not a policy; the message names the rule.
        """
        return cls(load(policy_path), cwd, policy_path)

    def allow(self, tool: Tool) -> None:
        """Allow all calls of a tool until the session ends."""
        context = self._context(tool, (), ())
        self.session_grants.append(grant_for_tool(tool, context, tainted=False))

    def verdict(
        self, tool: Tool, call: ToolCall, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> Verdict:
        """Return the policy's verdict on a call in a conversation."""
        return self._evaluate(tool, call, self._context(tool, messages, tools))

    def decide(
        self,
        tool: Tool,
        call: ToolCall,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        ask: AskUser,
    ) -> Decision:
        """Return the decision on a call; call `ask` if the policy requires approval."""
        context = self._context(tool, messages, tools)
        match self._evaluate(tool, call, context):
            case DenyVerdict(reason):
                return Deny(reason)
            case AskVerdict() as verdict:
                return self._ask_user(tool, call, context, verdict, ask)
            case _:
                return AllowOnce()

    def _context(
        self, tool: Tool, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> PolicyContext:
        taints = taint(messages, tools) if can_exfiltrate(tool) else {}
        grants = tuple(self.session_grants)
        return PolicyContext(self.cwd, Path.home(), resolve_path, grants, taints, self.remote_host)

    def _evaluate(self, tool: Tool, call: ToolCall, context: PolicyContext) -> Verdict:
        """Evaluate the policy as its file is now.

        An invalid file denies every call. If the file has disappeared, what it denied is denied and
        what it asked for asks; what it allowed is decided without it.
        """
        try:
            self._reload()
        except UsageError as error:
            return DenyVerdict(str(error))
        verdict = evaluate(self.policy, tool, call, context)
        if self._is_missing:
            return max(verdict, evaluate(Policy(), tool, call, context), key=_strictness)
        return verdict

    def _reload(self) -> None:
        """Load the policy again if its file has changed.

        Raises:
            UsageError: The file cannot be read or is not a policy.
        """
        version = _file_version(self.policy_path)
        if self.policy_path is None or version == self._loaded_version:
            return
        try:
            self.policy = load(self.policy_path, required=True)
            self._is_missing = False
        except user_file.FileMissing:
            self._is_missing = True
        self._loaded_version = version

    def _ask_user(
        self, tool: Tool, call: ToolCall, context: PolicyContext, verdict: AskVerdict, ask: AskUser
    ) -> Decision:
        # The user sees copies, so that nothing can change the call that runs.
        shown = ToolCall(call.id, call.name, deepcopy(dict(call.arguments)))
        preview = tool.preview(**deepcopy(dict(call.arguments))) if tool.preview else ""
        exact_grant = grant_for_call(tool, call, context, verdict.tainted)
        reason = " ".join([verdict.reason, *host_warnings(call)])
        decision = ask(ApprovalRequest(tool, shown, reason, preview, verdict.tainted))
        if isinstance(decision, Deny):
            return decision
        if grant_for_call(tool, call, context, verdict.tainted) != exact_grant:
            return Deny("The call's target changed while waiting for approval.")
        if isinstance(decision, AllowAlways):
            whole_tool = grant_for_tool(tool, context, verdict.tainted)
            try:
                self._add_grant(
                    exact_grant if decision.exact_arguments else whole_tool, decision.permanent
                )
            except XlamError as error:
                return Deny(f"The permission could not be saved. {error}")
        return decision

    def _add_grant(self, grant: Grant, permanent: bool) -> None:
        if permanent and self.policy_path is not None:
            save_grant(self.policy_path, grant)
        self.session_grants.append(grant)


def resolve_path(path: Path) -> Path | None:
    """Return a path with its links resolved as far as it exists, or None if it is not valid."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return None


def deny_non_interactive(request: ApprovalRequest) -> Deny:
    """Deny a call because no user can be asked, and say how to allow it."""
    if request.tainted:
        remedy = "To allow it, add a rule with `tainted = true` to policy.toml."
    else:
        remedy = f"To allow it, use --allow {request.tool.name}."
    return Deny(f"{request.reason} It needs approval, and no user can be asked here. {remedy}")


def load(path: Path, *, required: bool = False) -> Policy:
    """Return the policy in a file, or an empty policy if there is no file.

    Raises:
        FileMissing: The file is required, and there is none.
        UsageError: The file cannot be read or is not a policy.
    """
    text = user_file.read_text(path) if required else toml_values.read_text(path)
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def save_grant(path: Path, grant: Grant) -> None:
    """Add a grant to the policy in a file; the file is replaced as a whole.

    Raises:
        UsageError: The file cannot be read, or its grants cannot be extended.
        XlamError: The file cannot be written.
    """
    try:
        with atomic_file.exclusive(path) as replace:
            load(path)
            replace(_extended(path, grant))
    except OSError as error:
        raise XlamError(f"{path} cannot be written: {error.strerror}.") from error


def _extended(path: Path, grant: Grant) -> str:
    """Return the text of a policy's file with one more grant."""
    text = toml_values.read_text(path)
    try:
        return add_grant(text, grant)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _strictness(verdict: Verdict) -> int:
    return (AllowVerdict, AskVerdict, DenyVerdict).index(type(verdict))


def _file_version(path: Path | None) -> tuple[int, ...] | None:
    """Return what changes with a file: its time of change, its size and its number."""
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    if status is None:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
