"""Decide whether a call runs, needs approval or is denied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..types import Effect, Sandbox, Tool, ToolCall
from .call_details import CallDetails, Match
from .context import PolicyContext, is_under, resolve_policy_path, runs_code
from .credential_files import holds_credentials, is_broad, is_private_in_home
from .executed_files import executed_file
from .loose_conditions import match_loosely
from .other_arguments import other_paths, possible_files, urls_of_files
from .rules import Grant, Policy, Rule, canonical_arguments
from .strict_conditions import meets_strictly
from .taint import exfiltration_reason
from .targets import BUILT_IN, is_mcp_tool
from .tool_identity import tool_digest, tool_identity


@dataclass(frozen=True, slots=True)
class AllowVerdict:
    """The call runs without a prompt."""


@dataclass(frozen=True, slots=True)
class AskVerdict:
    """The call runs only if the user approves it."""

    reason: str
    tainted: bool = False
    """Whether the exfiltration check asks."""


@dataclass(frozen=True, slots=True)
class DenyVerdict:
    """The call does not run."""

    reason: str


Verdict = AllowVerdict | AskVerdict | DenyVerdict

EFFECT_SENTENCES = {
    Effect.READ: "It reads data.",
    Effect.WRITE: "It writes to this machine.",
    Effect.EXECUTE: "It runs code on this machine.",
    Effect.NETWORK: "It uses the network.",
}


def evaluate(policy: Policy, tool: Tool, call: ToolCall, context: PolicyContext) -> Verdict:
    """Return the verdict of a policy on a call.

    In this order: the sandbox level for all code; the rules, or the default policy if none
    matches; the grants, which turn "ask" into "allow"; files that other programs execute, files
    with credentials and the exfiltration check, which turn "allow" into "ask".
    """
    details = CallDetails.collect(tool, call, context)
    if _needs_sandbox(tool) and _is_weaker(tool.sandbox, policy.sandbox):
        return _deny_for_sandbox(tool, policy.sandbox)
    verdict, taint_allowed = _apply_rules(policy.rules, details)
    if isinstance(verdict, DenyVerdict):
        return verdict
    grants = [
        grant for grant in (*policy.grants, *context.session_grants) if _covers(grant, details)
    ]
    if grants:
        verdict = AllowVerdict()
    if not any(grant.call for grant in grants):
        verdict = _check_executed_files(verdict, details, policy)
        verdict = _check_credentials(verdict, details)
    if taint_allowed or any(grant.tainted for grant in grants):
        return verdict
    return _check_exfiltration(verdict, tool, context)


def grant_for_tool(tool: Tool, context: PolicyContext, tainted: bool) -> Grant:
    """Return a grant for every call of a tool as it is now, in this working folder."""
    identity = tool_identity(tool)
    return Grant(*identity, cwd=str(context.cwd), tainted=tainted, digest=tool_digest(tool))


def grant_for_call(tool: Tool, call: ToolCall, context: PolicyContext, tainted: bool) -> Grant:
    """Return a grant for exactly this call, in this working folder and with these paths."""
    details = CallDetails.collect(tool, call, context)
    return replace(
        grant_for_tool(tool, context, tainted),
        call=canonical_arguments(call),
        paths=_resolved_paths(details),
    )


# Rules


def _apply_rules(rules: Sequence[Rule], details: CallDetails) -> tuple[Verdict, bool]:
    """Return the verdict of the last rule that matches, and whether it allows tainted calls.

    If it is uncertain whether a later rule matches too, the verdict is at least "ask".
    """
    doubtful: Rule | None = None
    tool = details.tool
    verdict, taint_allowed = _default_verdict(details), False
    for rule in reversed(rules):
        match = _match(rule, details)
        if match == "no":
            continue
        if _is_weaker(tool.sandbox, rule.sandbox) and (rule.decision != "deny" or match == "maybe"):
            return _deny_for_sandbox(tool, rule.sandbox), False
        if match == "yes":
            verdict, taint_allowed = _verdict_of(rule, details), rule.tainted
            break
        doubtful = doubtful or rule
    if doubtful is None or isinstance(verdict, DenyVerdict):
        return verdict, taint_allowed
    return AskVerdict(_doubt(doubtful)), False


def _match(rule: Rule, details: CallDetails) -> Match:
    """Return whether a call meets the conditions of a rule; never "maybe" for one that allows."""
    if rule.decision == "allow":
        return "yes" if meets_strictly(rule, details) else "no"
    return match_loosely(rule, details)


def _verdict_of(rule: Rule, details: CallDetails) -> Verdict:
    if rule.decision == "allow":
        return AllowVerdict()
    if rule.decision == "ask":
        return AskVerdict(rule.reason or _describe_call(details))
    return DenyVerdict(rule.reason or f"Rule {rule.number} of the policy denies this call.")


def _doubt(rule: Rule) -> str:
    sentence = f"Rule {rule.number} of the policy may apply; the call's arguments do not show it."
    return f"{sentence} {rule.reason}".rstrip()


def _default_verdict(details: CallDetails) -> Verdict:
    """Allow reading in the working folder if the model runs on this machine; else ask."""
    tool = details.tool
    inside = all(
        path.certain and _is_open(path.resolved, details) for path in details.targets.paths
    )
    others = (*other_paths(details), *urls_of_files(details))
    others_inside = all(_is_open(path, details) for path in others)
    if tool.effect is Effect.READ and not is_mcp_tool(tool) and inside and others_inside:
        host = details.context.remote_host
        if host and not (tool.deterministic or tool.public):
            return AskVerdict(f"It reads data that would be sent to {host}, where the model runs.")
        return AllowVerdict()
    return AskVerdict(_describe_call(details))


def _is_open(path: Path | None, details: CallDetails) -> bool:
    """Return whether a path is in the working folder and can be read without approval.

    In a working folder that contains the home folder, hidden files and other users' files cannot.
    The built-in tools may search such a folder as a whole, because they skip those files.
    """
    cwd, home = details.context.cwd, resolve_policy_path("~", details.context)
    if path is None or not is_under(path, cwd):
        return False
    if home is None or not is_broad(cwd, home):
        return True
    if is_broad(path, home):
        return details.tool.source == BUILT_IN
    return not is_private_in_home(path, home)


def _describe_call(details: CallDetails) -> str:
    """Return what a call does, and which of its paths are outside the working folder."""
    tool = details.tool
    if is_mcp_tool(tool) and tool.effect is Effect.READ:
        return f"The MCP server {tool.source[5:]!r} declares this tool read-only."
    sentences = [EFFECT_SENTENCES[tool.effect]]
    for path in details.targets.paths:
        if not is_under(path.resolved, details.context.cwd):
            sentences.append(f"{path.text!r} is outside the working folder: {path.resolved}.")
        elif tool.effect is Effect.READ and not path.certain:
            sentences.append(f"{path.text!r} may be outside the working folder.")
    return " ".join(sentences)


# Sandbox, grants, exfiltration


def _needs_sandbox(tool: Tool) -> bool:
    """Return whether a tool is code that is not ours, whatever effect it declares.

    An HTTP request described in a tool file is not code.
    """
    from_file = bool(tool.file) and tool.effect is not Effect.NETWORK
    return runs_code(tool) or tool.sandbox is not Sandbox.NONE or from_file


def _is_weaker(level: Sandbox, minimum: Sandbox) -> bool:
    levels = list(Sandbox)
    return levels.index(level) < levels.index(minimum)


def _deny_for_sandbox(tool: Tool, minimum: Sandbox) -> DenyVerdict:
    return DenyVerdict(
        f"The policy requires sandbox level {minimum.value!r}; "
        f"the tool {tool.name} runs at level {tool.sandbox.value!r}."
    )


def _covers(grant: Grant, details: CallDetails) -> bool:
    """Return whether a grant is for this tool and, if it is for one call, for this call."""
    tool = details.tool
    if (grant.tool, grant.source, grant.file) != tool_identity(tool):
        return False
    if (grant.digest, grant.cwd) != (tool_digest(tool), str(details.context.cwd)):
        return False
    if not grant.call:
        return True
    return grant.call == canonical_arguments(details.call) and grant.paths == _resolved_paths(
        details
    )


def _resolved_paths(details: CallDetails) -> tuple[str, ...]:
    return tuple(sorted(str(path.resolved) for path in details.targets.paths))


def _check_executed_files(verdict: Verdict, details: CallDetails, policy: Policy) -> Verdict:
    """Ask for a call that may write a file that other programs execute.

    Only a grant for exactly this call, content included, allows it.
    """
    tool = details.tool
    if not isinstance(verdict, AllowVerdict) or tool.deterministic:
        return verdict
    if tool.effect is Effect.READ and not is_mcp_tool(tool):
        return verdict
    for text, path in details.named_paths():
        if executed_file(path, policy.executed_files):
            return AskVerdict(f"{text!r} is a file that other programs execute.")
    return verdict


def _check_credentials(verdict: Verdict, details: CallDetails) -> Verdict:
    """Ask for a call that names a file with credentials; only a grant for this call allows it."""
    if not isinstance(verdict, AllowVerdict) or details.tool.deterministic:
        return verdict
    home = details.context.home
    for text, path in possible_files(details):
        if path is not None and holds_credentials(path, home):
            return AskVerdict(f"{text!r} may hold keys, passwords or tokens.")
    return verdict


def _check_exfiltration(verdict: Verdict, tool: Tool, context: PolicyContext) -> Verdict:
    """Ask for a call that could send out data which another tool has read."""
    if not (read := exfiltration_reason(tool, context.taint)):
        return verdict
    reason = f"{read}, and this call could send the data out."
    if isinstance(verdict, AskVerdict):
        reason = f"{verdict.reason} {reason}"
    return AskVerdict(reason, tainted=True)
