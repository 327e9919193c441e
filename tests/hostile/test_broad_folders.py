"""Attempts to read credentials, most of them with the home folder or `/` as the working folder."""

from __future__ import annotations

from dataclasses import replace
from os.path import normpath
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.policies import CONTEXT, HOME, tool
from tests.fakes.policies import decide as decide_in
from tests.fakes.tool_calls import needs_isolation, run
from xlam_local.cli.toolbox_options import open_toolbox
from xlam_local.errors import ToolError
from xlam_local.permissions import AllowVerdict, AskVerdict, DenyVerdict, PolicyContext, Verdict
from xlam_local.permissions.credential_files import (
    holds_credentials,
    is_broad,
    working_folder_warning,
)
from xlam_local.tools.builtin.catalog import all_builtin_tools
from xlam_local.tools.sandbox import process
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.tools.sandbox.credentials import hidden_in_home
from xlam_local.tools.sources import ToolPaths
from xlam_local.types import Effect, Sandbox, Tool

ALLOW_ALL = '[[rule]]\ndecision = "allow"\nsource = "*"\n'
READ_FILE = Tool("read_file", "", {}, Effect.READ, source="built-in")
OTHER_READ = tool(Effect.READ, "mine", "load")
RUN_COMMAND = Tool("run_command", "", {}, Effect.EXECUTE, source="built-in")


def decide(
    cwd: str | Path, policy: str, used: Tool, arguments: dict[str, Any] | None = None
) -> Verdict:
    """Return the verdict on a call in a working folder of the user whose home is HOME."""
    context: PolicyContext = replace(
        CONTEXT, cwd=Path(cwd), resolve=lambda path: Path(normpath(Path(cwd) / path))
    )
    return decide_in(policy, used, arguments, context)


IN_HOME = [
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".local/share/fish/fish_history",
    ".lesshst",
    ".viminfo",
    ".ssh/id_ed25519",
    ".ssh/config",
    ".gnupg/secring.gpg",
    ".aws/credentials",
    ".azure/accessTokens.json",
    ".kube/config",
    ".docker/config.json",
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh/hosts.yml",
    ".config/gcloud/application_default_credentials.json",
    ".config/google-chrome/Default/Login Data",
    ".config/BraveSoftware/x",
    ".mozilla/firefox/a/logins.json",
    ".thunderbird/a/key4.db",
    ".config/Signal/config.json",
    ".config/Bitwarden/data.json",
    ".local/share/keyrings/login.keyring",
    ".local/share/kwalletd/kdewallet.kwl",
    ".password-store/mail.gpg",
    ".vault-token",
    ".terraform.d/credentials.tfrc.json",
    ".cargo/credentials.toml",
    ".m2/settings.xml",
    ".config/rclone/rclone.conf",
    ".pgpass",
    ".my.cnf",
    ".cache/huggingface/token",
    ".bitcoin/wallet.dat",
    "Library/Keychains/login.keychain-db",
    "Library/Cookies/Cookies.binarycookies",
    "x/../.ssh/id_rsa",
    ".SSH/id_rsa",
    ".ssh\u200b/id_rsa",
]
ANYWHERE = [
    ".env",
    ".env.production",
    "prod.env",
    "deploy/.env.local",
    "id_rsa",
    "keys/server.key",
    "tls/cert.pem",
    "a.p12",
    "a.kdbx",
    "terraform.tfstate",
    "prod.tfvars",
    "credentials.json",
    "config/secrets.yml",
    "client_secret_1.json",
    "service-account-prod.json",
    ".npmrc",
    ".pypirc",
    "web/.htpasswd",
    "wp-config.php",
    ".ENV",
]


@pytest.mark.parametrize("policy", ["", ALLOW_ALL, '[[rule]]\ndecision="allow"\npath="~"\n'])
@pytest.mark.parametrize("path", [*IN_HOME, *ANYWHERE])
def test_a_credential_is_never_read_unasked_in_the_home_folder(path: str, policy: str) -> None:
    for used in (READ_FILE, OTHER_READ):
        assert isinstance(decide(HOME, policy, used, {"path": path}), AskVerdict)


@pytest.mark.parametrize("policy", ["", ALLOW_ALL])
@pytest.mark.parametrize("path", ANYWHERE)
def test_a_credential_of_a_project_is_never_read_unasked(path: str, policy: str) -> None:
    assert isinstance(decide("/home/u/project", policy, READ_FILE, {"path": path}), AskVerdict)


SYSTEM = [
    "etc/shadow",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers.d/x",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssl/private/x.key",
    "/etc/NetworkManager/system-connections/wifi",
    "/etc/wireguard/wg0.conf",
    "/var/lib/docker/x",
    "/home/u/.bash_history",
    "/home/u/.aws/credentials",
    "home/u/.ssh/id_rsa",
]


@pytest.mark.parametrize("policy", ["", ALLOW_ALL])
@pytest.mark.parametrize("path", SYSTEM)
def test_a_credential_is_never_read_unasked_in_the_root_folder(path: str, policy: str) -> None:
    assert isinstance(decide("/", policy, READ_FILE, {"path": path}), AskVerdict)


@pytest.mark.parametrize(
    ("cwd", "path"),
    [
        ("/", "/etc/passwd"),
        ("/", "/root/x"),
        ("/", "/var/lib/x"),
        ("/", "/home/other/notes.md"),
        ("/", "/proc/self/environ"),
        ("/", "/opt/app/config"),
        ("/home", "/home/other/notes.md"),
        ("/home", "u/.unknown-store/x"),
        (HOME, ".unknown-store/x"),
        (HOME, ".config/new-password-manager/db"),
        (HOME, "project/.hidden/x"),
    ],
)
def test_what_is_hidden_or_not_in_the_home_folder_is_not_read_unasked(
    cwd: str | Path, path: str
) -> None:
    assert isinstance(decide(cwd, "", READ_FILE, {"path": path}), AskVerdict)


@pytest.mark.parametrize("cwd", [HOME, "/home", "/"])
@pytest.mark.parametrize("arguments", [{}, {"path": "."}, {"folder": "/home/u"}, {"text": "token"}])
def test_another_tool_does_not_read_a_broad_folder_as_a_whole_unasked(
    cwd: str | Path, arguments: dict[str, Any]
) -> None:
    assert isinstance(decide(cwd, "", OTHER_READ, arguments), AskVerdict)


@pytest.mark.parametrize(
    ("cwd", "path"),
    [
        ("/home/u/project", "README.md"),
        ("/home/u/project", ".gitignore"),
        ("/home/u/project", "."),
        ("/home/u/project", ".env.example"),
        ("/home/u/project", "src/credentials.py"),
        ("/home/u/project", "docs/secrets.md"),
        ("/home/u/project", "keys/id_ed25519.pub"),
        ("/home/u/project", "src/history.py"),
        (HOME, "notes/todo.md"),
        (HOME, "."),
        (HOME, "project/src/main.py"),
        ("/", "/home/u/notes.md"),
    ],
)
def test_common_files_are_read_unasked(cwd: str | Path, path: str) -> None:
    assert decide(cwd, "", READ_FILE, {"path": path}) == AllowVerdict()


@pytest.mark.parametrize(
    "command",
    [
        "cat .bash_history",
        "cat /home/u/.ssh/id_rsa",
        "grep -r x --file=.env",
        ["head", ".aws/credentials"],
        "tar cf a.tar .ssh",
        "sh -c 'cat .netrc'",
    ],
)
def test_a_rule_does_not_allow_a_command_that_names_credentials(command: object) -> None:
    assert isinstance(decide(HOME, ALLOW_ALL, RUN_COMMAND, {"command": command}), AskVerdict)


@pytest.mark.parametrize("name", ["to", "src", "target", "item", "data"])
def test_any_argument_can_name_credentials(name: str) -> None:
    for path in (".ssh/id_rsa", "/home/u/.netrc", ".env"):
        assert isinstance(decide(HOME, ALLOW_ALL, OTHER_READ, {name: path}), AskVerdict)


def test_a_denial_stays_a_denial() -> None:
    assert isinstance(
        decide(HOME, '[[rule]]\ndecision = "deny"', READ_FILE, {"path": ".env"}), DenyVerdict
    )


@pytest.mark.parametrize(
    ("folder", "warns"),
    [("/", True), ("/home", True), ("/home/u", True), ("/home/u/a", False), ("/srv/a", False)],
)
def test_a_broad_working_folder_is_warned_about(folder: str, warns: bool) -> None:
    assert bool(working_folder_warning(Path(folder), HOME)) is warns
    assert is_broad(Path(folder), HOME) is warns


def test_names_are_compared_without_regard_to_case() -> None:
    assert holds_credentials(Path("/x/.Env"), HOME)
    assert holds_credentials(Path("/home/u/.AWS/x"), HOME)
    assert not holds_credentials(Path("/home/u/aws/x"), HOME)


# In a real home folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "home"
    monkeypatch.setenv("HOME", str(top))
    for name in (".bash_history", ".ssh/id_rsa", ".unknown/store", ".env", "a.key", "notes.md"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("s3cr3t-t0k3n\n")
    return top


def test_a_search_of_the_home_folder_finds_no_credentials(home: Path, tmp_path: Path) -> None:
    paths = ToolPaths(tmp_path / "c", tmp_path / "d", tmp_path / "s", home)
    (search,) = [one for one in all_builtin_tools(paths) if one.name == "search_files"]
    assert run(search, text="s3cr3t") == "notes.md:1: s3cr3t-t0k3n"
    (read,) = [one for one in all_builtin_tools(paths) if one.name == "read_file"]
    for path in (".bash_history", ".ssh/id_rsa"):
        with pytest.raises(ToolError, match="is protected"):
            run(read, path=path)


def test_hidden_files_of_the_home_folder_are_hidden_from_isolated_programs(home: Path) -> None:
    names = {path.name for path in hidden_in_home(home)}
    assert names == {".bash_history", ".ssh", ".unknown", ".env"}
    assert hidden_in_home(home / "notes") == ()


def test_folders_of_programs_stay_visible(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{home}/.unknown/bin")
    assert ".unknown" not in {path.name for path in hidden_in_home(home)}


@needs_isolation
@pytest.mark.parametrize("name", [".bash_history", ".ssh/id_rsa", ".unknown/store", ".env"])
def test_an_isolated_program_in_the_home_folder_reads_no_credentials(
    home: Path, tmp_path: Path, name: str
) -> None:
    paths = ToolPaths(tmp_path / "c", tmp_path / "d", tmp_path / "s", home)
    sandbox = SandboxConfig(home, Sandbox.ISOLATED, hidden=paths.hidden)
    completed = process.run(["cat", name], sandbox)
    assert b"s3cr3t" not in completed.stdout
    assert process.run(["cat", "notes.md"], sandbox).stdout == b"s3cr3t-t0k3n\n"


def test_commands_warn_about_the_home_folder(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (home, home.parent):
        with open_toolbox(folder):
            assert "your home folder" in capsys.readouterr().err
    (home / "project").mkdir()
    with open_toolbox(home / "project"):
        assert capsys.readouterr().err == ""
