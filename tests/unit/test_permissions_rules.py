"""Read policy.toml and add grants to it."""

from __future__ import annotations

import pytest

from tests.fakes.policies import CONTEXT, WRITE
from xlam_local.errors import UsageError
from xlam_local.permissions import (
    Grant,
    Policy,
    add_grant,
    grant_for_call,
    grant_for_tool,
    parse,
)
from xlam_local.types import ToolCall


def test_an_empty_file_is_an_empty_policy() -> None:
    assert parse("") == Policy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rule]", "not valid TOML"),
        (f"x = {'1' * 5000}", "an integer with more than 4300 digits"),
        (f"x = {'[' * 5000}", "nested more than 200 levels deep"),
        ('[[rule]]\ndecision = "yes"', "Rule 1: decision must be allow, ask or deny, not 'yes'"),
        (
            '[[rule]]\ndecision = "allow"\ntools = "x"',
            "Rule 1: Unknown key 'tools'",
        ),
        (
            '[[rule]]\ndecision = "allow"\ntool = 3',
            "Rule 1: tool must be a string or a list",
        ),
        ('[[rule]]\ndecision = "allow"\npath = []', "path must not be empty"),
        ('[[rule]]\ndecision = "allow"\neffect = "reads"', "Rule 1: effect must be read, write"),
        ('[[rule]]\ndecision = "allow"\nsandbox = "jail"', "Rule 1: sandbox must be none, limits"),
        ('[[rule]]\ndecision = "allow"\narguments = "x"', "arguments must be a table"),
        ('[[rule]]\ndecision = "allow"\ntainted = 1', "tainted must be true or false"),
        ('[[rule]]\ndecision = "allow"\nreason = 1', "reason must be a string"),
        ('[rule]\ndecision = "allow"', "rule must be an array of tables, written as [[rule]]"),
        ('[[grant]]\nsource = "x"', "Grant 1: tool is required"),
        ('sandbox = "yes"', "The policy: sandbox must be none"),
        ("rules = 1", "The policy: Unknown key 'rules'"),
    ],
)
def test_an_invalid_policy_is_an_error_that_names_the_rule(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        parse(text)


# Grants


def test_a_grant_cannot_be_added_to_an_inline_array() -> None:
    with pytest.raises(UsageError, match=r"Write `grant` as \[\[grant\]\] tables"):
        add_grant('grant = [{tool = "f"}]', Grant("g"))


def test_saved_grants_are_read_back() -> None:
    text = '# mine\nsandbox = "none"  # for now\n'
    call = ToolCall("call_0", "f", {"path": 'a"\n\u202e'})
    text = add_grant(text, grant_for_call(WRITE, call, CONTEXT, tainted=False))
    text = add_grant(text, grant_for_tool(WRITE, CONTEXT, tainted=True))
    assert text.startswith('# mine\nsandbox = "none"  # for now\n')
    first, second = parse(text).grants
    assert first == grant_for_call(WRITE, call, CONTEXT, tainted=False)
    assert second == grant_for_tool(WRITE, CONTEXT, tainted=True)
