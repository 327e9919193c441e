"""Check whether a call meets the conditions of a rule that asks or denies.

Patterns match in any spelling, and uncertainty is "maybe".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..types import Effect, Tool
from . import patterns
from .call_details import CallDetails, Match
from .context import casefold_path, is_under, pattern_path, resolve_policy_path, runs_code
from .hosts import host_may_match, host_target
from .rules import Rule
from .targets import is_mcp_tool, strings_in


def match_loosely(rule: Rule, call: CallDetails) -> Match:
    """Return whether a call meets all conditions of a rule that asks or denies."""
    if not _matches_name(rule, call.tool):
        return "no"
    matches = set(_conditions(rule, call))
    return "no" if "no" in matches else "maybe" if "maybe" in matches else "yes"


def _matches_name(rule: Rule, tool: Tool) -> bool:
    """Return whether a rule names the tool, in any spelling and by any name that it has."""
    # If names clash, a tool is also offered with its source as prefix or with a trailing `_`.
    own_name = tool.name.removeprefix(f"{tool.source.removeprefix('mcp: ')}_").rstrip("_")
    return any(
        patterns.loose_match(pattern, tool.source) for pattern in rule.source or ("*",)
    ) and any(
        patterns.loose_match(pattern, name)
        for pattern in rule.tool
        for name in (tool.name, own_name)
    )


def _conditions(rule: Rule, call: CallDetails) -> Iterator[Match]:
    if rule.effect and call.tool.effect not in rule.effect:
        # The effect of a server's tool is the server's own claim.
        yield "maybe" if is_mcp_tool(call.tool) else "no"
    if rule.path:
        yield _any_path_within(rule.path, call)
    if rule.host:
        yield _any_host_may_match(rule.host, call)
    for name, choices in rule.arguments.items():
        yield "yes" if _argument_matches_loosely(name, choices, call) else "no"


def _any_path_within(folders: Sequence[str], call: CallDetails) -> Match:
    tops = [casefold_path(resolve_policy_path(folder, call.context)) for folder in folders]
    match: Match = "no" if _all_paths_known(call) else "maybe"
    for path in call.targets.paths:
        as_text = resolve_policy_path(path.text, call.context)
        candidates = (casefold_path(path.resolved), casefold_path(as_text))
        for top in tops:
            if any(is_under(candidate, top) for candidate in candidates):
                return "yes"
            if any(is_under(top, candidate) for candidate in candidates):
                match = "maybe"  # listing, searching or moving a folder affects what is in it
    return "maybe" if _other_argument_within(tops, call) else match


def _all_paths_known(call: CallDetails) -> bool:
    """Return whether the call can open no other paths than its targets."""
    if call.tool.effect is Effect.EXECUTE:
        named = is_mcp_tool(call.tool) and bool(call.targets.paths)
    else:
        named = True
    return named and all(path.certain for path in call.targets.paths)


def _other_argument_within(tops: Sequence[Path | None], call: CallDetails) -> bool:
    """Return whether any string in the arguments, taken as a path, is in one of the folders."""
    if call.tool.deterministic:
        return False
    paths = (
        casefold_path(resolve_policy_path(text, call.context))
        for text in strings_in(call.arguments)
    )
    return any(is_under(path, top) for path in paths for top in tops)


def _any_host_may_match(choices: Sequence[str], call: CallDetails) -> Match:
    if any(host_may_match(pattern, host) for host in call.targets.hosts for pattern in choices):
        return "yes"
    if call.tool.effect is Effect.NETWORK:
        # An argument whose name does not say so can be a host, too.
        others = [host_target(text) for text in strings_in(call.arguments)]
        if any(host_may_match(pattern, host) for host in others for pattern in choices):
            return "maybe"
    certain = all(host.certain for host in call.targets.hosts)
    other_hosts = runs_code(call.tool) or (
        call.tool.effect is Effect.NETWORK and not call.targets.hosts
    )
    return "no" if certain and not other_hosts else "maybe"


def _argument_matches_loosely(name: str, choices: Sequence[str], call: CallDetails) -> bool:
    """Return whether any string within an argument matches, in any spelling, one of the patterns.

    In the arguments of a program, a pattern can match from any word, because a command line can
    contain others.
    """
    if name not in call.arguments:
        return False
    texts = [
        *strings_in(call.arguments[name]),
        *(text for _, text in call.comparable_texts(name)),
    ]
    is_program = call.tool.effect is Effect.EXECUTE
    for text in texts:
        spellings = _spellings(name, text, call)
        for pattern in choices:
            if any(patterns.loose_match(pattern, spelling) for spelling in spellings):
                return True
            if is_program and patterns.loose_search(pattern, text):
                return True
    return False


def _spellings(name: str, text: str, call: CallDetails) -> list[str]:
    """Return a string and other forms of it: the resolved path, or the URL's canonical host."""
    if call.kind(name) == "path":
        resolved = call.path_target(text).resolved
        return [text, str(resolved), pattern_path(resolved, call.context)]
    if "://" in text:
        scheme, _, rest = text.replace("\\", "/").partition("://")
        path = rest.partition("/")[2]
        return [text, f"{scheme.strip()}://{host_target(text).name}/{path}"]
    return [text]
