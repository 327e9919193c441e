"""Attempts to show or write a host or a text so that it passes for another one."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from tests.fakes.policies import FETCH, RUN, SERVER, decide
from xlam_local.errors import ToolError, UsageError
from xlam_local.ip_addresses import embedded_ipv4, inet_aton, ipv4_readings
from xlam_local.permissions import AllowVerdict, DenyVerdict, parse
from xlam_local.permissions.approver import Approver
from xlam_local.permissions.confusable_hosts import host_warning
from xlam_local.permissions.hosts import canonical_host
from xlam_local.terminal_text import escape_blanks, escape_control
from xlam_local.tools.builtin.web import fetch_page
from xlam_local.tools.http.client import FetchPolicy, Request, ascii_url, fetch
from xlam_local.types import ApprovalRequest, Decision, Deny, ToolCall

ALLOW_ALL = '[[rule]]\ndecision = "allow"\nsource = "*"\n'


def denied(host: str, url: str) -> bool:
    """Return whether a rule that denies a host denies a call with a URL."""
    policy = f"{ALLOW_ALL}[[rule]]\ndecision = 'deny'\nhost = '{host}'\n"
    return isinstance(decide(policy, FETCH, {"url": url}), DenyVerdict)


# Every text is 169.254.169.254, from which cloud machines hand out credentials.
METADATA_HOSTS = [
    "169.254.169.254",
    "169.254.169.254.",
    "169.254.169.254..",
    "169.254.169.254:443",
    "169.254.43518",
    "169.16689662",
    "2852039166",
    "2852039166.",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "0xA9.254.0251.254",
    "0251.0376.0251.0376",
    "0000000000000000000000251.0376.0251.0376",
    "025177524776",
    "425.510.425.510",
    "7147006462",
    "0x41414141A9FEA9FE",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:169.254.169.254]",
    "[::169.254.169.254]",
    "[::a9fe:a9fe]",
    "[::ffff:0:169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[0064:FF9B:0::A9FE:A9FE]",
    "[64:ff9b:1::169.254.169.254]",
    "[64:ff9b:1:a9fe:a9:fe00::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:a9fe:a9fe::]",
    "[2001:0:1:1:0:0:5601:5601]",
    "[fe80::5efe:169.254.169.254]",
    "[2a00::200:5efe:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe%25eth0]",
    "\u2460\u2465\u2468.\u2461\u2464\u2463.\u2460\u2465\u2468.\u2461\u2464\u2463",
    "\uff11\uff16\uff19.254.169.254",
    "169\u3002254\u3002169\u3002254",
    "169\uff0e254\uff61169.254",
    "169%2e254%2e169%2e254",
    "%31%36%39.254.169.254",
    "x@169.254.169.254",
    "good.org@169.254.169.254",
    "good.org:80@0xa9fea9fe",
    "169.254.169.254\\@good.org",
    "good.org\\@169.254.169.254",
]


@pytest.mark.parametrize("host", METADATA_HOSTS)
def test_no_notation_of_an_address_gets_past_a_denial(host: str) -> None:
    for url in (f"http://{host}/latest/meta-data", f"https://{host}"):
        assert denied("169.254.169.254", url)
        assert denied("169.254.0.0/16", url)
        assert not denied("169.253.0.0/16", url)


@pytest.mark.parametrize(
    "url",
    [
        "//169.254.169.254/x",
        "http:169.254.169.254",
        "http:/169.254.169.254/x",
        "http:///169.254.169.254/x",
        "http:\\\\169.254.169.254\\x",
        "ht\ttp://169.254.169.254",
        " http://169.254.169.254",
        "http://169.254.\n169.254/",
        "ftp://169.254.169.254",
        "gopher://0xa9fea9fe/",
        "169.254.169.254",
    ],
)
def test_no_notation_of_a_url_gets_past_a_denial(url: str) -> None:
    assert denied("169.254.0.0/16", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1/",
        "http://0/",
        "http://0.0.0.0:8080/",
        "http://00000000/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:0.0.0.0]/",
        "http://[64:ff9b::7f00:1]/",
        "http://0x7f.0x.0x.1/",
        "http://017700000001/",
    ],
)
def test_this_machine_is_denied_under_each_of_its_names(url: str) -> None:
    assert denied("127.0.0.0/8", url)


@pytest.mark.parametrize("url", ["http://[::]/", "http://[0::1]/", "http://localhost:1/"])
def test_this_machine_is_denied_by_its_ipv6_address(url: str) -> None:
    assert denied("::1", url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("::ffff:10.0.0.0/104", "http://10.1.2.3/"),
        ("[::ffff:10.1.2.3]", "http://10.1.2.3/"),
        ("10.0.0.0/8", "http://010.1.2.3/"),
        ("8.0.0.0/8", "http://010.1.2.3/"),
        ("64:ff9b::/96", "http://[64:ff9b::808:808]/"),
        ("2001::/32", "http://[2001:0:a9fe:a9fe::]/"),
        ("0x0a010203", "http://10.1.2.3/"),
        ("evil.com:443", "https://evil.com/"),
        ("evil.com:80", "http://evil.com/x"),
        ("evil.com:443", "evil.com"),
        ("evil.com", "https://EVIL.com./"),
        ("evil.com", "https://evil\u3002com/"),
        ("evil.com", "https://ev\u00adil.com/"),
        ("evil.com", "https://\uff45vil.com/"),
        ("evil.com", "https://evil%2ecom/"),
        ("evil.com", "mailto:eve@evil.com"),
        ("evil.com", "good.org, evil.com"),
        ("*.evil.com", "https://a.evil.com../"),
        ("xn--fa-hia.de", "https://fa\u00df.de/"),
        ("fass.de", "https://fa\u00df.de/"),
        ("fa\u00df.de", "https://xn--fa-hia.de/"),
        ("b\u00fccher.example", "https://xn--bcher-kva.example/"),
        ("xn--bcher-kva.example", "https://B\u00dcCHER.example/"),
        ("*.b\u00fccher.example", "https://a.xn--bcher-kva.example/"),
    ],
)
def test_a_denied_host_is_denied_in_each_spelling(pattern: str, url: str) -> None:
    assert denied(pattern, url)


@pytest.mark.parametrize(
    "url", ["http://8.8.8.8/", "http://[2001:4860:4860::8888]/", "https://docs.python.org/0x7f.1"]
)
def test_other_addresses_are_not_denied(url: str) -> None:
    policy = f"{ALLOW_ALL}[[rule]]\ndecision = 'deny'\nhost = ['10.0.0.0/8', '127.0.0.0/8']\n"
    assert decide(policy, FETCH, {"url": url}) == AllowVerdict()


@pytest.mark.parametrize("tool", [RUN, SERVER])
def test_code_that_can_reach_any_host_is_not_allowed_by_another_notation(tool: object) -> None:
    policy = f"{ALLOW_ALL}[[rule]]\ndecision = 'deny'\nhost = '169.254.0.0/16'\n"
    for url in ("http://[64:ff9b::a9fe:a9fe]/", "http://0xa9fea9fe/"):
        assert decide(policy, tool, {"url": url}) != AllowVerdict()  # type: ignore[arg-type]


@pytest.mark.parametrize("host", METADATA_HOSTS[4:])
def test_an_unusual_notation_is_not_allowed_by_a_rule(host: str) -> None:
    policy = "[[rule]]\ndecision = 'allow'\nhost = ['*', '169.254.0.0/16']\n"
    assert decide(policy, FETCH, {"url": f"http://{host}/"}) != AllowVerdict()


@pytest.mark.parametrize(
    "pattern",
    ["169.254/16", "https://evil.com", "evil.com/path", "*evil.com", "evil.*", "", "a b", "x@y.z"],
)
def test_a_host_pattern_that_could_match_nothing_is_an_error(pattern: str) -> None:
    with pytest.raises(UsageError, match="Rule 1: host"):
        parse(f"[[rule]]\ndecision = 'deny'\nhost = '{pattern}'\n")


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::7f00:1",
        "64:ff9b::c0a8:101",
        "64:ff9b:1::808:808",
        "2002:7f00:1::",
        "2002:a00:1::5",
        "2001:0:808:808::",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "2a00::5efe:127.0.0.1",
        "fec0::1",
        "3fff::1",
        "5f00::1",
        "::",
        "ff02::1",
    ],
)
def test_no_notation_of_a_private_address_is_fetched(address: str) -> None:
    policy = FetchPolicy(resolve=lambda _host, _port: [address])
    with pytest.raises(ToolError, match="not public"):
        fetch(Request("http://example.org/"), policy)


def test_very_long_numbers_and_names_are_read_in_no_time() -> None:
    assert ipv4_readings("9" * 100_000) == set()
    assert inet_aton("0" * 100_000) == ipaddress.IPv4Address(0)
    assert not denied("127.0.0.0/8", f"http://{'9' * 100_000}/")
    assert not denied("evil.com", f"http://{chr(0x430) * 100_000}/")
    assert list(embedded_ipv4(ipaddress.IPv4Address("10.0.0.1"))) == []


# What the user sees


def question(tmp_path: Path, arguments: dict[str, object]) -> str:
    """Return what a user is asked about a call of fetch_page."""
    asked: list[ApprovalRequest] = []

    def ask(request: ApprovalRequest) -> Decision:
        asked.append(request)
        return Deny()

    tool = fetch_page
    Approver(cwd=tmp_path).decide(tool, ToolCall("c", tool.name, arguments), [], [tool], ask)
    return f"{asked[0].preview}\n{asked[0].reason}"


@pytest.mark.parametrize(
    ("host", "ascii_host", "warning"),
    [
        ("\u0430pple.com", "xn--pple-43d.com", "mixes Cyrillic and Latin letters"),
        ("xn--pple-43d.com", "xn--pple-43d.com", "mixes Cyrillic and Latin letters"),
        ("www.g\u043e\u043egle.com", "www.xn--ggle-55da.com", "mixes Cyrillic and Latin"),
        ("p\u03b1ypal.com", "xn--pypal-d9d.com", "mixes Greek and Latin letters"),
        ("\u0430\u0440\u0440\u04cf\u0435.com", "xn--80ak6aa92e.com", "can look like Latin ones"),
        ("\u03bf\u03bf\u03bf.gr", "xn--0xaaa.gr", "Greek letters can look like Latin ones"),
        ("git\u04bbub.com", "xn--gitub-0kf.com", "mixes Cyrillic and Latin letters"),
        ("m\u00fcnchen.de", "xn--mnchen-3ya.de", "The host 'm\u00fcnchen.de' is"),
    ],
)
def test_a_host_is_shown_in_ascii_with_a_warning(
    tmp_path: Path, host: str, ascii_host: str, warning: str
) -> None:
    shown = question(tmp_path, {"url": f"https://{host}/a"})
    assert f"GET https://{ascii_host}/a\nfrom {ascii_host}\n" in shown
    assert warning in shown


def test_one_language_is_no_mixture_and_ascii_has_no_warning() -> None:
    for name in ("\u65e5\u672c\u8a9e\u30c6\u30b9\u30c8abc.jp", "\ud55c\uad6d\u8a9e.kr"):
        assert "mixes" not in host_warning(canonical_host(name))
    assert host_warning("docs.python.org") == ""
    assert host_warning("xn--\u00e4.org") == ""
    assert ascii_url("https://a\u0431.org:8080/\u00e4?b") == "https://xn--a-btb.org:8080/\u00e4?b"


def test_an_address_in_an_unusual_notation_is_shown(tmp_path: Path) -> None:
    for host in ("0xa9fea9fe.", "0251.254.169.254", "[64:ff9b::169.254.169.254]"):
        assert "169.254.169.254" in question(tmp_path, {"url": f"http://{host}/"})


BLANKS = "\u00a0\u1680\u2000\u2003\u2009\u200a\u202f\u205f\u3000"
INKLESS = "\u115f\u1160\u2800\u3164\uffa0\u00ad\u034f\u180e\u17b4\u200b\u2060\ufeff"


@pytest.mark.parametrize("char", [*BLANKS, *INKLESS, "\U0001d159", "\U00016fe4"])
def test_a_character_that_looks_blank_is_shown_to_the_user(char: str) -> None:
    assert char not in escape_blanks(f"rm{char}x")
    assert f"{ord(char):04x}" in escape_blanks(f"rm{char}x")


@pytest.mark.parametrize("char", [*INKLESS, "\U0001d159", "\U00016fe4"])
def test_a_character_without_ink_is_shown_everywhere(char: str) -> None:
    assert char not in escape_control(f"a{char}b")
