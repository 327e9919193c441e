"""What runs, what is asked for and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import normpath
from pathlib import Path
from typing import Any

import pytest

from xlam_local.errors import UsageError
from xlam_local.policy import (
    Allow,
    Allowance,
    Asks,
    Deny,
    Policy,
    State,
    Verdict,
    allowance,
    judge,
    parse,
    places,
    remember,
    taint,
)
from xlam_local.types import Effect, Result, Sandbox, Tool, ToolCall

FOLDER = Path("/work/here")
HOME = Path("/home/u")
STATE = State(FOLDER, HOME, lambda path: Path(normpath(path)))


def tool(effect: Effect = Effect.EXECUTE, source: str = "", name: str = "f") -> Tool:
    return Tool(name, "", {"type": "object"}, effect, source=source)


def verdict(
    text: str, used: Tool, arguments: Mapping[str, Any] | None = None, state: State = STATE
) -> Verdict:
    return judge(parse(text), used, ToolCall("call_0", used.name, arguments or {}), state)


READ, WRITE, RUN = tool(Effect.READ), tool(Effect.WRITE), tool(Effect.EXECUTE)
FETCH = tool(Effect.NETWORK, name="fetch")
SERVER = tool(Effect.EXECUTE, "mcp: files", "read_file")


# Without a policy


def test_reading_inside_the_working_folder_is_allowed() -> None:
    assert verdict("", READ, {"path": "a/b.txt"}) == Allow()
    assert verdict("", READ) == Allow()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x"])
def test_reading_outside_the_working_folder_asks_and_says_where(path: str) -> None:
    found = verdict("", READ, {"path": path})
    assert isinstance(found, Asks)
    assert "outside the working folder" in found.why


@pytest.mark.parametrize("path", ["~/.ssh/id", "~root/x", "$HOME/x", "a/%2e%2e/x", "file:///etc/x"])
def test_a_path_that_a_tool_may_expand_asks(path: str) -> None:
    used = Tool("f", "", {}, Effect.READ, place="/tools/a.py")
    found = verdict("", used, {"path": path})
    assert isinstance(found, Asks)
    assert found.why.endswith("may lead out of the working folder.")
    assert verdict("", READ, {"path": path}) == Allow()
    for inside in ("a/b", "./a/../b~", "*.py"):
        assert verdict("", used, {"path": inside}) == Allow()


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.EXECUTE, Effect.NETWORK])
def test_all_else_asks(effect: Effect) -> None:
    assert isinstance(verdict("", tool(effect), {"path": "a"}), Asks)


def test_a_server_that_says_it_only_reads_asks() -> None:
    found = verdict("", tool(Effect.READ, "mcp: files"))
    assert isinstance(found, Asks)
    assert "'files' says that it only reads" in found.why


# Rules


def test_the_last_rule_that_fits_wins() -> None:
    text = """
        [[rule]]
        decision = "allow"
        effect = "write"
        [[rule]]
        decision = "deny"
        tool = "f"
        why = "Not that one."
    """
    assert verdict(text, WRITE) == Deny("Not that one.")
    assert verdict(text, tool(Effect.WRITE, name="g")) == Allow()
    other = """
        [[rule]]
        decision = "deny"
        tool = "f"
        [[rule]]
        decision = "allow"
        effect = "write"
    """
    assert verdict(other, WRITE) == Allow()


def test_a_rule_that_denies_says_its_number() -> None:
    assert verdict('[[rule]]\ndecision = "deny"', READ) == Deny("Rule 1 of the policy denies it.")


def test_a_rule_may_ask_where_the_default_allows() -> None:
    assert isinstance(verdict('[[rule]]\ndecision = "ask"\ntool = ["f", "g"]', READ), Asks)


def test_a_folder_may_be_allowed() -> None:
    text = '[[rule]]\ndecision = "allow"\neffect = ["read", "write"]\nfolder = ["~/notes", "."]'
    assert verdict(text, READ, {"path": "/home/u/notes/a"}) == Allow()
    assert verdict(text, WRITE, {"path": "a"}) == Allow()
    assert isinstance(verdict(text, WRITE, {"path": "a", "destination": "/tmp/b"}), Asks)
    assert isinstance(verdict(text, WRITE, {}), Asks)


def test_a_folder_may_be_denied_to_what_is_allowed() -> None:
    text = """
        [[rule]]
        decision = "allow"
        [[rule]]
        decision = "deny"
        folder = "~/.ssh"
    """
    assert isinstance(verdict(text, READ, {"path": "/home/u/.ssh/id"}), Deny)
    assert verdict(text, READ, {"path": "/home/u/x"}) == Allow()
    # A search of the home may find it; a command may reach it whatever it says.
    assert isinstance(verdict(text, READ, {"folder": "/home/u"}), Asks)
    assert isinstance(verdict(text, RUN, {"command": "ls"}), Asks)


def test_a_host_may_be_allowed_or_denied() -> None:
    text = """
        [[rule]]
        decision = "allow"
        host = ["*.example.org", "10.0.0.0/8"]
        [[rule]]
        decision = "deny"
        host = "bad.example.org"
    """
    assert verdict(text, FETCH, {"url": "https://a.example.org/x"}) == Allow()
    assert verdict(text, FETCH, {"url": "http://10.1.2.3:8080"}) == Allow()
    assert isinstance(verdict(text, FETCH, {"url": "https://bad.example.org"}), Deny)
    assert isinstance(verdict(text, FETCH, {"url": "https://example.org"}), Asks)
    assert isinstance(verdict(text, FETCH, {"query": "x"}), Asks)


def test_a_host_may_have_a_port() -> None:
    text = '[[rule]]\ndecision = "allow"\nhost = "localhost:8080"'
    assert verdict(text, FETCH, {"url": "http://localhost:8080/"}) == Allow()
    assert isinstance(verdict(text, FETCH, {"url": "http://localhost:8081/"}), Asks)


def test_arguments_may_be_allowed_by_a_pattern() -> None:
    text = '[[rule]]\ndecision = "allow"\narguments = {command = ["git status", "git log *"]}'
    assert verdict(text, RUN, {"command": "git status"}) == Allow()
    assert verdict(text, RUN, {"command": ["git", "log", "-n", "3"]}) == Allow()
    assert isinstance(verdict(text, RUN, {"command": "git push"}), Asks)
    assert isinstance(verdict(text, RUN), Asks)


def test_a_path_pattern_is_compared_with_where_the_path_leads() -> None:
    text = '[[rule]]\ndecision = "allow"\narguments = {path = "notes/*.md"}'
    assert verdict(text, WRITE, {"path": "x/../notes/a.md"}) == Allow()
    assert isinstance(verdict(text, WRITE, {"path": "notes/../a.md"}), Asks)
    assert isinstance(verdict(text, WRITE, {"path": "notes/deep/a.md"}), Asks)


def test_numbers_and_flags_are_compared_as_json() -> None:
    text = '[[rule]]\ndecision = "allow"\narguments = {count = "3", force = "false"}'
    assert verdict(text, RUN, {"count": 3, "force": False}) == Allow()
    assert isinstance(verdict(text, RUN, {"count": 3, "force": True}), Asks)


def test_a_default_counts_as_said() -> None:
    schema = {"type": "object", "properties": {"mode": {"type": "string", "default": "all"}}}
    used = Tool("f", "", schema, Effect.READ)
    assert isinstance(
        verdict('[[rule]]\ndecision = "deny"\narguments = {mode = "all"}', used), Deny
    )


def test_a_server_is_allowed_by_its_own_name_only() -> None:
    named = '[[rule]]\ndecision = "allow"\ntool = "read_*"\nsource = "mcp: files"'
    assert verdict(named, SERVER) == Allow()
    assert isinstance(verdict('[[rule]]\ndecision = "allow"\ntool = "read_*"', SERVER), Asks)
    assert isinstance(verdict('[[rule]]\ndecision = "deny"\ntool = "read_*"', SERVER), Deny)


def test_a_sandbox_that_is_demanded_and_missing_refuses() -> None:
    held = Tool("f", "", {}, Effect.EXECUTE, sandbox=Sandbox.ISOLATED)
    text = 'sandbox = "limits"\n[[rule]]\ndecision = "allow"'
    assert verdict(text, RUN) == Deny(
        "The policy demands the sandbox level 'limits' here; f runs at 'none'."
    )
    assert verdict(text, held) == Allow()
    assert verdict(text, READ) == Allow()
    one_rule = '[[rule]]\ndecision = "allow"\nsandbox = "isolated"'
    assert isinstance(verdict(one_rule, RUN), Deny)


# Always


def test_a_tool_that_was_allowed_is_not_asked_for() -> None:
    state = State(FOLDER, HOME, STATE.real, (Allowance("f"),))
    assert verdict("", RUN, {"command": "x"}, state) == Allow()
    assert isinstance(verdict("", tool(source="mcp: x"), {}, state), Asks)
    assert isinstance(verdict('[[rule]]\ndecision = "deny"', RUN, {}, state), Deny)


def test_a_call_that_was_allowed_is_that_call_only() -> None:
    call = ToolCall("call_0", "f", {"a": 1, "path": "x"})
    state = State(FOLDER, HOME, STATE.real, (allowance(WRITE, call, STATE, True, False),))
    assert verdict("", WRITE, {"path": "x", "a": 1}, state) == Allow()
    for other in ({"a": 1}, {"a": 1.0, "path": "x"}, {"a": True, "path": "x"}, {"path": "x"}):
        assert isinstance(verdict("", WRITE, other, state), Asks)
    elsewhere = State(Path("/work/there"), HOME, STATE.real, state.allowed)
    assert isinstance(verdict("", WRITE, {"path": "x", "a": 1}, elsewhere), Asks)


def test_a_list_of_answers_that_is_no_table_is_told() -> None:
    with pytest.raises(UsageError, match="has to be written as tables"):
        remember('always = [{tool = "f"}]', Allowance("g"))


def test_what_is_allowed_for_good_is_read_back() -> None:
    text = '# mine\nsandbox = "none"  # for now\n'
    call = ToolCall("call_0", "f", {"path": 'a"\n\u202e'})
    for just in (True, False):
        text = remember(text, allowance(WRITE, call, STATE, just, not just))
    assert text.startswith('# mine\nsandbox = "none"  # for now\n')
    first, second = parse(text).always
    assert first == allowance(WRITE, call, STATE, True, False)
    assert second == Allowance("f", tainted=True)


# Taint


def results(*made: tuple[str, dict[str, Any]]) -> list[Result]:
    return [Result(ToolCall("call_0", name, arguments), "…") for name, arguments in made]


FILE = tool(Effect.READ, name="read_file")
ALLOW = '[[rule]]\ndecision = "allow"\nsource = "*"'


def tainted(
    *made: tuple[str, dict[str, Any]], tools: tuple[Tool, ...] = (FILE, READ, RUN)
) -> State:
    return State(FOLDER, HOME, STATE.real, (), taint(results(*made), tools))


def test_a_network_call_asks_again_after_a_file_was_read() -> None:
    found = verdict(ALLOW, FETCH, {"url": "https://x.org"}, tainted(("read_file", {"path": "a"})))
    assert found == Asks("read_file has read a, and this call could carry it away.", tainted=True)


def test_a_question_that_is_asked_anyway_says_so_too() -> None:
    found = verdict("", FETCH, {}, tainted(("read_file", {"path": "a"})))
    assert isinstance(found, Asks)
    assert found.why.startswith("It reaches the network. read_file has read a")


def test_what_reads_no_files_taints_nothing() -> None:
    clock = Tool("clock", "", {}, Effect.READ, pure=True)
    told = tainted(("clock", {"place": "here"}), ("fetch", {}), tools=(clock, FETCH))
    assert verdict(ALLOW, FETCH, {}, told) == Allow()
    assert isinstance(verdict(ALLOW, FETCH, {}, tainted(("f", {}), tools=(READ,))), Asks)


def test_a_refused_read_taints_nothing() -> None:
    call = ToolCall("call_0", "read_file", {"path": "a"})
    assert taint([Result(call, "No.", ok=False, refused=True)], [FILE]) == {}


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (FILE, "read_file may have read a"),
        (RUN, "f may have opened a"),
        (SERVER, "read_file may have opened a"),
    ],
)
def test_what_fails_may_have_shown_a_file_before(used: Tool, told: str) -> None:
    call = ToolCall("call_0", used.name, {"path": "a"})
    failed = [Result(call, "cat ended with exit code 1.\nsecret", ok=False)]
    found = verdict(ALLOW, FETCH, {}, State(FOLDER, HOME, STATE.real, (), taint(failed, [used])))
    assert found == Asks(f"{told}, and this call could carry it away.", tainted=True)


def test_code_may_carry_away_what_another_tool_read() -> None:
    state = tainted(("read_file", {"path": "a"}))
    assert isinstance(verdict(ALLOW, RUN, {}, state), Asks)
    assert isinstance(verdict(ALLOW, SERVER, {}, state), Asks)
    isolated = Tool("f", "", {}, Effect.EXECUTE, sandbox=Sandbox.ISOLATED)
    assert verdict(ALLOW, isolated, {}, state) == Allow()
    assert verdict(ALLOW, WRITE, {"path": "b"}, state) == Allow()


def test_what_a_tool_read_itself_it_could_have_sent_itself() -> None:
    assert verdict(ALLOW, RUN, {}, tainted(("f", {}), tools=(RUN,))) == Allow()
    assert isinstance(verdict(ALLOW, FETCH, {}, tainted(("f", {}), tools=(RUN,))), Asks)


def test_a_tool_that_is_gone_may_have_read_anything() -> None:
    assert isinstance(verdict(ALLOW, FETCH, {}, tainted(("gone", {}), tools=())), Asks)


def test_a_rule_or_an_answer_may_settle_it() -> None:
    state = tainted(("read_file", {"path": "a"}))
    assert verdict(f"{ALLOW}\ntainted = true", FETCH, {}, state) == Allow()
    once = State(FOLDER, HOME, STATE.real, (Allowance("fetch"),), state.taint)
    assert isinstance(verdict("", FETCH, {}, once), Asks)
    again = State(FOLDER, HOME, STATE.real, (Allowance("fetch", tainted=True),), state.taint)
    assert verdict("", FETCH, {}, again) == Allow()


# What a policy cannot be


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[rule]", "not TOML"),
        (f"x = {'1' * 5000}", "not TOML: Exceeds the limit"),
        (f"x = {'[' * 5000}", "not TOML: maximum recursion depth"),
        ('[[rule]]\ndecision = "yes"', "Rule 1: decision is allow, ask or deny, not 'yes'"),
        ('[[rule]]\ndecision = "allow"\ntools = "x"', "Rule 1 has no 'tools'"),
        ('[[rule]]\ndecision = "allow"\ntool = 3', "Rule 1: tool is text or a list of texts"),
        ('[[rule]]\ndecision = "allow"\nfolder = []', "folder is an empty list"),
        ('[[rule]]\ndecision = "allow"\neffect = "reads"', "Rule 1: effect is read, write"),
        ('[[rule]]\ndecision = "allow"\nsandbox = "jail"', "Rule 1: sandbox is none, limits"),
        ('[[rule]]\ndecision = "allow"\narguments = "x"', "arguments is a table of patterns"),
        ('[[rule]]\ndecision = "allow"\ntainted = 1', "tainted is true or false"),
        ('[[rule]]\ndecision = "allow"\nwhy = 1', "why is text"),
        ('[rule]\ndecision = "allow"', "a table of its own"),
        ('[[always]]\nsource = "x"', "it names no tool"),
        ('sandbox = "yes"', "A policy: sandbox is none"),
        ("rules = 1", "A policy has no 'rules'"),
    ],
)
def test_a_bad_policy_is_a_sentence_that_names_the_rule(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("[", r"\[")):
        parse(text)


def test_an_empty_policy_is_one() -> None:
    assert parse("") == Policy()


@pytest.mark.parametrize(
    ("level", "effect", "place", "expected"),
    [
        (Sandbox.LIMITS, Effect.READ, "/tools/a.py", Deny),
        (Sandbox.NONE, Effect.READ, "/tools/a.toml", Deny),
        (Sandbox.LIMITS, Effect.NETWORK, "/tools/a.py", Deny),
        (Sandbox.ISOLATED, Effect.READ, "/tools/a.py", Allow),
        (Sandbox.NONE, Effect.NETWORK, "/tools/request.toml", Asks),
        (Sandbox.NONE, Effect.READ, "", Allow),
    ],
)
def test_a_sandbox_for_all_code_holds_for_what_says_that_it_reads(
    level: Sandbox, effect: Effect, place: str, expected: type
) -> None:
    used = Tool("f", "", {}, effect, sandbox=level, place=place)
    assert isinstance(verdict('sandbox = "isolated"', used), expected)


@pytest.mark.parametrize(
    ("rule", "used", "expected"),
    [
        ('decision = "allow"\neffect = "read"', WRITE, Asks),
        ('decision = "deny"\neffect = "network"', WRITE, Asks),
        ('decision = "deny"\neffect = "network"', READ, Allow),
        ('decision = "deny"\neffect = "network"', SERVER, Asks),
        ('decision = "allow"\nsource = "mcp: *"\neffect = "read"', SERVER, Asks),
        ('decision = "allow"\nsource = "mcp: *"\neffect = "execute"', SERVER, Allow),
    ],
)
def test_a_rule_may_be_for_what_a_tool_can_do(rule: str, used: Tool, expected: type) -> None:
    assert isinstance(verdict(f"[[rule]]\n{rule}", used, {"path": "a"}), expected)


@pytest.mark.parametrize(
    "pattern", ["*", "https://x.org/a", "https://x.org/*", "https://*.x.org/a"]
)
def test_a_pattern_may_be_a_url(pattern: str) -> None:
    text = f'[[rule]]\ndecision = "allow"\narguments = {{url = "{pattern}"}}'
    fits = pattern != "https://*.x.org/a"
    assert isinstance(verdict(text, FETCH, {"url": "https://x.org/a"}), Allow if fits else Asks)


def test_a_pattern_that_denies_looks_at_every_depth() -> None:
    text = '[[rule]]\ndecision = "allow"\n[[rule]]\ndecision = "deny"\narguments = {data = "*key*"}'
    for data in ({"a": [{"my_KEY": 1}]}, [["a key"]], {"x": "keys"}):
        assert isinstance(verdict(text, WRITE, {"data": data}), Deny)
    assert verdict(text, WRITE, {"data": [1, {"a": None}]}) == Allow()


def test_what_is_no_text_is_no_path() -> None:
    assert verdict("", READ, {"path": 5, "files": [None, True]}) == Allow()


@pytest.mark.parametrize(
    ("said", "name"),
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
def test_a_host_has_one_spelling(said: str, name: str) -> None:
    assert places.canonical(said) == name


def test_what_is_no_url_is_no_host() -> None:
    assert not places.host("http://[::").sure
    assert not places.hosted("10.0.0.0/8", places.host("example.org"))
    assert places.hosted("*", places.host("example.org"))
