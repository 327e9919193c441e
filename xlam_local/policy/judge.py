"""The judgement on one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..types import Effect, Sandbox, Tool, ToolCall
from .conditions import fits
from .places import Reach, from_server, reach
from .rules import Allowance, Policy, Rule, exact
from .state import State, runs_code, under
from .taint import carried


@dataclass(frozen=True, slots=True)
class Allow:
    """The call runs."""


@dataclass(frozen=True, slots=True)
class Asks:
    """The call runs only if the user lets it."""

    why: str
    tainted: bool = False
    """Whether it asks because of what was read, though it was allowed."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The call does not run."""

    why: str


Verdict = Allow | Asks | Deny


def judge(policy: Policy, tool: Tool, call: ToolCall, state: State) -> Verdict:
    """Whether a call runs, is asked for, or does not run."""
    reached = reach(tool, call.arguments, state.folder, state.real)
    if _others_code(tool) and _weaker(tool, policy.sandbox):
        return Deny(_needs(policy.sandbox, tool))
    verdict, rule = _ruled(policy.rules, tool, call, reached, state)
    if rule is not None and not isinstance(verdict, Deny) and _weaker(tool, rule.sandbox):
        return Deny(_needs(rule.sandbox, tool))
    given = [
        one
        for one in (*policy.always, *state.allowed)
        if _lifts(one, tool, call, reached, state.folder)
    ]
    if isinstance(verdict, Asks) and given:
        verdict = Allow()
    settled = (rule is not None and rule.tainted) or any(one.tainted for one in given)
    read = "" if settled else carried(tool, state.taint)
    if isinstance(verdict, Deny) or not read:
        return verdict
    why = f"{read}, and this call could carry it away."
    return Asks(f"{verdict.why} {why}" if isinstance(verdict, Asks) else why, tainted=True)


def allowance(tool: Tool, call: ToolCall, state: State, just: bool, tainted: bool) -> Allowance:
    """What the user allows with always: the tool, or `just` this call."""
    whole = Allowance(tool.name, tool.source, tool.place, tainted=tainted)
    if not just:
        return whole
    reaches = _reals(reach(tool, call.arguments, state.folder, state.real))
    return replace(whole, call=exact(call), within=str(state.folder), reaches=reaches)


# Rules


def _ruled(
    rules: Sequence[Rule], tool: Tool, call: ToolCall, reached: Reach, state: State
) -> tuple[Verdict, Rule | None]:
    """What the last rule that fits says; one that may fit and would not allow asks."""
    for rule in reversed(rules):
        fit = fits(rule, tool, call, reached, state)
        if fit == "no":
            continue
        because = rule.why or f"Rule {rule.number} of the policy"
        if fit == "maybe":
            told = f"{because}: it cannot be told from its arguments whether this call is meant."
            return Asks(told), rule
        if rule.decision == "allow":
            return Allow(), rule
        if rule.decision == "ask":
            return Asks(rule.why or does(tool, reached, state)), rule
        return Deny(rule.why or f"{because} denies it."), rule
    return _default(tool, reached, state), None


def _default(tool: Tool, reached: Reach, state: State) -> Verdict:
    """Reading inside the working folder is allowed; all else asks."""
    inside = all(spot.sure and under(spot.real, state.folder) for spot in reached.spots)
    if tool.effect is Effect.READ and not from_server(tool) and inside:
        return Allow()
    return Asks(does(tool, reached, state))


# Allowances


def _lifts(one: Allowance, tool: Tool, call: ToolCall, reached: Reach, folder: Path) -> bool:
    """Whether the user has answered the question about this call before."""
    if (one.tool, one.source, one.place) != (tool.name, tool.source, tool.place):
        return False
    if not one.call:
        return True
    return (one.call, one.within, one.reaches) == (exact(call), str(folder), _reals(reached))


# Words


DOES = {
    Effect.READ: "It reads.",
    Effect.WRITE: "It writes on this machine.",
    Effect.EXECUTE: "It runs code on this machine.",
    Effect.NETWORK: "It reaches the network.",
}


def does(tool: Tool, reached: Reach, state: State) -> str:
    """What a call does, and where that is not what its arguments say."""
    words = [DOES[tool.effect]]
    for spot in reached.spots:
        if not under(spot.real, state.folder):
            words.append(f"{spot.said!r} is outside the working folder: {spot.real}.")
        elif tool.effect is Effect.READ and not spot.sure:
            words.append(f"{spot.said!r} may lead out of the working folder.")
    if from_server(tool) and tool.effect is Effect.READ:
        words = [f"The server {tool.source[5:]!r} says that it only reads."]
    return " ".join(words)


def _needs(level: Sandbox, tool: Tool) -> str:
    return (
        f"The policy demands the sandbox level {level.value!r} here; "
        f"{tool.name} runs at {tool.sandbox.value!r}."
    )


def _others_code(tool: Tool) -> bool:
    """Whether a tool is code of others, whatever it says that it does: a request is none."""
    from_file = bool(tool.place) and tool.effect is not Effect.NETWORK
    return runs_code(tool) or tool.sandbox is not Sandbox.NONE or from_file


def _weaker(tool: Tool, level: Sandbox) -> bool:
    order = list(Sandbox)
    return order.index(tool.sandbox) < order.index(level)


def _reals(reached: Reach) -> tuple[str, ...]:
    return tuple(sorted(str(spot.real) for spot in reached.spots))
