"""Check whether a call meets the conditions of a rule that allows.

All paths and hosts of the call must be certain, and a doubt counts as no match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..types import Effect, Tool
from . import patterns
from .call_details import CallDetails
from .context import is_under, resolve_policy_path
from .hosts import host_matches, host_target
from .other_arguments import is_choice, other_hosts, other_paths
from .rules import Rule
from .targets import ArgumentKind, is_mcp_tool, strings_in


def meets_strictly(rule: Rule, call: CallDetails) -> bool:
    """Return whether a call meets all conditions of a rule that allows."""
    return _matches_name(rule, call.tool) and all(_conditions(rule, call))


def _matches_name(rule: Rule, tool: Tool) -> bool:
    """Return whether a rule that allows names the tool.

    A server chooses the names of its tools, so a rule must name the server to allow them.
    """
    if rule.source:
        source_matches = any(patterns.match_name(pattern, tool.source) for pattern in rule.source)
    else:
        source_matches = not is_mcp_tool(tool)
    return source_matches and any(patterns.match_name(pattern, tool.name) for pattern in rule.tool)


def _conditions(rule: Rule, call: CallDetails) -> Iterator[bool]:
    if rule.effect:
        yield call.tool.effect in rule.effect
    if rule.path:
        yield _all_paths_within(rule.path, call)
    if rule.host:
        yield _all_hosts_match(rule.host, call)
    for name, choices in rule.arguments.items():
        yield _argument_matches_strictly(name, choices, call)
    if rule.path or rule.host or rule.arguments:
        yield _others_allowed(rule, call)


def _others_allowed(rule: Rule, call: CallDetails) -> bool:
    """Return whether arguments that the conditions do not name lead nowhere else."""
    tops = [resolve_policy_path(folder, call.context) for folder in rule.path or (".",)]
    judged = rule.arguments
    if call.tool.effect is Effect.EXECUTE and not is_mcp_tool(call.tool) and _has_words(rule, call):
        return False  # what a program does with other words cannot be judged
    paths = list(other_paths(call, judged))
    hosts = list(other_hosts(call, judged, any_word=bool(rule.host)))
    if not rule.path and not _covers_paths(rule, call):
        if call.tool.effect is not Effect.READ or is_mcp_tool(call.tool):
            return False
        paths += [path.resolved for path in call.targets.paths]
    if not rule.host and not _covers_hosts(rule, call):
        hosts += call.targets.hosts
    return all(any(is_under(path, top) for top in tops) for path in paths) and all(
        host.certain and any(host_matches(pattern, host) for pattern in rule.host) for host in hosts
    )


def _has_words(rule: Rule, call: CallDetails) -> bool:
    """Return whether an argument has text that neither the rule nor the schema lists."""
    return any(
        any(strings_in(value))
        for name, value in call.arguments.items()
        if name not in rule.arguments and not is_choice(name, value, call)
    )


def _covers_paths(rule: Rule, call: CallDetails) -> bool:
    """Return whether the rule has a condition for each argument that is a path."""
    return all(name in rule.arguments for name in call.arguments if call.kind(name) == "path")


def _covers_hosts(rule: Rule, call: CallDetails) -> bool:
    """Return whether the rule has a condition for each argument that is a URL or host."""
    return all(name in rule.arguments for name in call.arguments if call.kind(name) == "url")


def _all_paths_within(folders: Sequence[str], call: CallDetails) -> bool:
    if call.tool.effect is Effect.EXECUTE and not is_mcp_tool(call.tool):
        return False  # a program can open any file
    tops = [resolve_policy_path(folder, call.context) for folder in folders]
    return bool(call.targets.paths) and all(
        path.certain and any(is_under(path.resolved, top) for top in tops)
        for path in call.targets.paths
    )


def _all_hosts_match(choices: Sequence[str], call: CallDetails) -> bool:
    if call.tool.effect is Effect.EXECUTE:
        return False  # a program can reach any host
    return bool(call.targets.hosts) and all(
        host.certain and any(host_matches(pattern, host) for pattern in choices)
        for host in call.targets.hosts
    )


def _argument_matches_strictly(name: str, choices: Sequence[str], call: CallDetails) -> bool:
    """Return whether every part of an argument matches one of the patterns."""
    if name not in call.arguments:
        return False
    texts = list(call.comparable_texts(name))
    return bool(texts) and all(
        any(_text_matches_strictly(pattern, kind, text) for pattern in choices)
        for kind, text in texts
    )


def _text_matches_strictly(pattern: str, kind: ArgumentKind, text: str) -> bool:
    if kind == "path":
        return patterns.strict_match_path(pattern, text)
    if "://" not in text:
        return patterns.strict_match(pattern, text)
    return pattern in {"*", text} or _url_matches_strictly(pattern, text)


def _url_matches_strictly(pattern: str, url: str) -> bool:
    """Return whether a URL matches, with its host compared as a host.

    As text, the pattern https://good.org* would match https://good.org.evil.com.
    """
    pattern_scheme, _, pattern_rest = pattern.partition("://")
    scheme, _, rest = url.partition("://")
    if pattern_scheme.lower() != scheme.lower():
        return False
    pattern_host, pattern_slash, pattern_path_part = pattern_rest.partition("/")
    _, slash, path_part = rest.partition("/")
    host = host_target(url)
    return (
        host.certain
        and host_matches(pattern_host, host)
        and patterns.strict_match(pattern_slash + pattern_path_part, slash + path_part)
    )
