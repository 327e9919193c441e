"""The conditions of a rule: paths, hosts, arguments, effects and sources."""

from __future__ import annotations

import pytest

from tests.fakes.policies import FETCH, READ, RUN, SERVER, WRITE, decide
from xlam_local.permissions import (
    AllowVerdict,
    AskVerdict,
    DenyVerdict,
)
from xlam_local.permissions.hosts import canonical_host, host_matches, host_target
from xlam_local.types import Effect, Tool


def test_a_folder_can_be_allowed() -> None:
    text = '[[rule]]\ndecision = "allow"\neffect = ["read", "write"]\npath = ["~/notes", "."]'
    assert decide(text, READ, {"path": "/home/u/notes/a"}) == AllowVerdict()
    assert decide(text, WRITE, {"path": "a"}) == AllowVerdict()
    assert isinstance(decide(text, WRITE, {"path": "a", "destination": "/tmp/b"}), AskVerdict)
    assert isinstance(decide(text, WRITE, {}), AskVerdict)


def test_a_folder_can_be_denied_to_an_allowed_tool() -> None:
    text = """
        [[rule]]
        decision = "allow"
        [[rule]]
        decision = "deny"
        path = "~/.ssh"
    """
    assert isinstance(decide(text, READ, {"path": "/home/u/.ssh/id"}), DenyVerdict)
    assert decide(text, READ, {"path": "/home/u/x"}) == AllowVerdict()
    # A search of the home folder can find it, and a command can open any file.
    assert isinstance(decide(text, READ, {"folder": "/home/u"}), AskVerdict)
    assert isinstance(decide(text, RUN, {"command": "ls"}), AskVerdict)


def test_a_host_can_be_allowed_or_denied() -> None:
    text = """
        [[rule]]
        decision = "allow"
        host = ["*.example.org", "10.0.0.0/8"]
        [[rule]]
        decision = "deny"
        host = "bad.example.org"
    """
    assert decide(text, FETCH, {"url": "https://a.example.org/x"}) == AllowVerdict()
    assert decide(text, FETCH, {"url": "http://10.1.2.3:8080"}) == AllowVerdict()
    assert isinstance(decide(text, FETCH, {"url": "https://bad.example.org"}), DenyVerdict)
    assert isinstance(decide(text, FETCH, {"url": "https://example.org"}), AskVerdict)
    assert isinstance(decide(text, FETCH, {"query": "x"}), AskVerdict)


def test_a_host_pattern_can_have_a_port() -> None:
    text = '[[rule]]\ndecision = "allow"\nhost = "localhost:8080"'
    assert decide(text, FETCH, {"url": "http://localhost:8080/"}) == AllowVerdict()
    assert isinstance(decide(text, FETCH, {"url": "http://localhost:8081/"}), AskVerdict)


@pytest.mark.parametrize("condition", ['path = "."', 'host = "example.org"'])
def test_a_path_or_a_host_does_not_allow_a_program(condition: str) -> None:
    text = f'[[rule]]\ndecision = "allow"\n{condition}'
    arguments = {"path": "/home/u/project/a", "url": "https://example.org/"}
    assert isinstance(decide(text, RUN, arguments), AskVerdict)


def test_a_deterministic_tool_opens_no_path_in_its_text() -> None:
    text = '[[rule]]\ndecision = "deny"\npath = "~/.ssh"'
    clock = Tool("clock", "", {}, Effect.READ, deterministic=True)
    assert decide(text, clock, {"text": "/home/u/.ssh/id"}) == AllowVerdict()
    assert isinstance(decide(text, READ, {"text": "/home/u/.ssh/id"}), AskVerdict)


def test_arguments_can_be_allowed_by_a_pattern() -> None:
    text = '[[rule]]\ndecision = "allow"\narguments = {command = ["git status", "git log *"]}'
    assert decide(text, RUN, {"command": "git status"}) == AllowVerdict()
    assert decide(text, RUN, {"command": ["git", "log", "-n", "3"]}) == AllowVerdict()
    assert isinstance(decide(text, RUN, {"command": "git push"}), AskVerdict)
    assert isinstance(decide(text, RUN), AskVerdict)


def test_a_path_pattern_is_compared_with_the_resolved_path() -> None:
    text = '[[rule]]\ndecision = "allow"\narguments = {path = "notes/*.md"}'
    assert decide(text, WRITE, {"path": "x/../notes/a.md"}) == AllowVerdict()
    assert isinstance(decide(text, WRITE, {"path": "notes/../a.md"}), AskVerdict)
    assert isinstance(decide(text, WRITE, {"path": "notes/deep/a.md"}), AskVerdict)


def test_numbers_and_flags_are_compared_as_json() -> None:
    text = '[[rule]]\ndecision = "allow"\narguments = {count = "3", force = "false"}'
    assert decide(text, RUN, {"count": 3, "force": False}) == AllowVerdict()
    assert isinstance(decide(text, RUN, {"count": 3, "force": True}), AskVerdict)


def test_a_default_value_is_compared_if_the_argument_is_missing() -> None:
    schema = {"type": "object", "properties": {"mode": {"type": "string", "default": "all"}}}
    used = Tool("f", "", schema, Effect.READ)
    assert isinstance(
        decide('[[rule]]\ndecision = "deny"\narguments = {mode = "all"}', used), DenyVerdict
    )


def test_a_tool_of_a_server_is_allowed_only_by_naming_the_server() -> None:
    named = '[[rule]]\ndecision = "allow"\ntool = "read_*"\nsource = "mcp: files"'
    assert decide(named, SERVER) == AllowVerdict()
    assert isinstance(decide('[[rule]]\ndecision = "allow"\ntool = "read_*"', SERVER), AskVerdict)
    assert isinstance(decide('[[rule]]\ndecision = "deny"\ntool = "read_*"', SERVER), DenyVerdict)


@pytest.mark.parametrize(
    ("rule", "used", "expected"),
    [
        ('decision = "allow"\neffect = "read"', WRITE, AskVerdict),
        ('decision = "deny"\neffect = "network"', WRITE, AskVerdict),
        ('decision = "deny"\neffect = "network"', READ, AllowVerdict),
        ('decision = "deny"\neffect = "network"', SERVER, AskVerdict),
        ('decision = "allow"\nsource = "mcp: *"\neffect = "read"', SERVER, AskVerdict),
        ('decision = "allow"\nsource = "mcp: *"\neffect = "execute"', SERVER, AllowVerdict),
    ],
)
def test_a_rule_can_name_an_effect(rule: str, used: Tool, expected: type) -> None:
    assert isinstance(decide(f"[[rule]]\n{rule}", used, {"path": "a"}), expected)


@pytest.mark.parametrize(
    "pattern", ["*", "https://x.org/a", "https://x.org/*", "https://*.x.org/a"]
)
def test_a_pattern_can_be_a_url(pattern: str) -> None:
    text = f'[[rule]]\ndecision = "allow"\narguments = {{url = "{pattern}"}}'
    matches = pattern != "https://*.x.org/a"
    assert isinstance(
        decide(text, FETCH, {"url": "https://x.org/a"}), AllowVerdict if matches else AskVerdict
    )


def test_a_loose_pattern_searches_nested_values() -> None:
    text = '[[rule]]\ndecision = "allow"\n[[rule]]\ndecision = "deny"\narguments = {data = "*key*"}'
    for data in ({"a": [{"my_KEY": 1}]}, [["a key"]], {"x": "keys"}):
        assert isinstance(decide(text, WRITE, {"data": data}), DenyVerdict)
    assert decide(text, WRITE, {"data": [1, {"a": None}]}) == AllowVerdict()


def test_a_value_that_is_not_text_is_not_a_path() -> None:
    assert decide("", READ, {"path": 5, "files": [None, True]}) == AllowVerdict()


# Hosts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1.2.3.4.5", "1.2.3.4.5"),
        ("256.1.1.1", "256.1.1.1"),
        ("99999999999", "99999999999"),
        ("0x7f.1", "127.0.0.1"),
        ("09.1", "9.0.0.1"),
        ("x" * 70, "x" * 70),
        ("B\u00dcCHER.example.", "xn--bcher-kva.example"),
    ],
)
def test_a_host_has_one_canonical_form(text: str, name: str) -> None:
    assert canonical_host(text) == name


def test_an_invalid_url_has_no_certain_host() -> None:
    assert not host_target("http://[::").certain
    assert not host_matches("10.0.0.0/8", host_target("example.org"))
    assert host_matches("*", host_target("example.org"))
