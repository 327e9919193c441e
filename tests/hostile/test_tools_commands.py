"""Values that try to become options, shell code or variables, and commands that misbehave."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tool_calls import needs_isolation, preview, run
from tests.hostile.secrets import SECRET
from xlam_local.errors import ToolError
from xlam_local.session import Session
from xlam_local.tools.declarative.loader import load_tools
from xlam_local.tools.declarative.placeholders import fill_with_variables
from xlam_local.tools.python.worker import ToolCode, Worker
from xlam_local.tools.sandbox import process
from xlam_local.tools.sandbox.config import Limits, SandboxConfig
from xlam_local.tools.sources import ToolPaths
from xlam_local.tools.toolbox import Toolbox
from xlam_local.types import AllowOnce, AssistantMessage, Sandbox, Tool, ToolResult

TEXT = {"type": "string"}
OPTIONS = [
    *("-", "--", "-rf", "--help", "--output=/etc/x", "-o/etc/x", "--exec=id", "-e", "-1", "--=x"),
    *("-\n", "--upload-pack=id", "-c core.pager=id", "--config", "-\u2010x"),
]


@pytest.mark.parametrize("value", OPTIONS)
def test_no_value_is_read_as_an_option(tmp_path: Path, value: str) -> None:
    parameters = {"a": TEXT, "b": TEXT}
    for command in (["echo", "{a}"], ["echo", "{a}{b}"], ["echo", ["-n", "{a}"]]):
        table = {"name": "f", "command": command, "parameters": parameters}
        (tool,) = load_tools({"tool": [table]}, SandboxConfig(tmp_path))
        with pytest.raises(ToolError, match="would be read as an option"):
            run(tool, a=value, b="")
    table = {"name": "f", "command": ["echo", "{a}{b}"], "parameters": parameters}
    (tool,) = load_tools({"tool": [table]}, SandboxConfig(tmp_path))
    with pytest.raises(ToolError, match="would be read as an option"):
        run(tool, a="", b=value)


SHELL_CODE = [
    *("; id", "| id", "&& id", "`id`", "$(id)", "${HOME}", "$HOME", "> f", "< /etc/passwd"),
    *("\nid", "' ; id '", '" ; id "', "*", "~", "{a}", "{{a}}", "!!", "\\", "%s", "a\tb", "#"),
]


@pytest.mark.parametrize("value", SHELL_CODE)
def test_no_value_is_read_by_a_shell(tmp_path: Path, value: str) -> None:
    table = {"name": "f", "command": ["printf", "%s", "{a}"], "parameters": {"a": TEXT}}
    (tool,) = load_tools({"tool": [table]}, SandboxConfig(tmp_path))
    assert run(tool, a=value) == value
    assert not list(tmp_path.glob("f"))


VARIABLES = [
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "NPM_TOKEN"),
    *("PGPASSWORD", "DATABASE_URL", "SSH_AUTH_SOCK", "KUBECONFIG", "http_proxy", "MY_PRIVATE"),
    *("LD_PRELOAD_X", "PYTHONSTARTUP", "GIT_ASKPASS", "XLAM_LOCAL_HOME"),
    "DBUS_SESSION_BUS_ADDRESS",
]


@pytest.mark.slow
def test_no_variable_leaks(
    hostile_tools: dict[str, Tool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, SECRET)
    table = {"name": "f", "command": ["sh", "-c", "env; cat /proc/self/environ"]}
    (command,) = load_tools({"tool": [table]}, SandboxConfig(tmp_path))
    text = "import os\nfrom xlam_local import tool\n@tool\ndef f() -> dict: return dict(os.environ)"
    worker = Worker(ToolCode("f.py", text), SandboxConfig(tmp_path))
    try:
        run_command = hostile_tools["run_command"]
        results = [run(command), run(run_command, command="env"), *map(run, worker.tools())]
    finally:
        worker.close()
    for result in results:
        assert SECRET not in str(result)


@pytest.mark.parametrize("name", VARIABLES)
def test_no_argument_is_expanded_as_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, SECRET)
    command = {
        "name": "f",
        "command": ["sh", "-c", "cat; echo $OWN", "sh", "{a}"],
        "stdin": "{a}",
        "env": {"OWN": "own"},
        "parameters": {"a": TEXT},
    }
    http = {"url": "https://x.org/{a}", "headers": {"X": "{a}"}, "body": {"a": "{a}"}}
    request = {"name": "g", "http": http, "parameters": {"a": TEXT}}
    tools = load_tools({"tool": [command, request]}, SandboxConfig(tmp_path))
    for value in (f"${{{name}}}", f"${{{name}:-x}}", f"${name}", f"%{name}%"):
        assert SECRET not in run(tools[0], a=value)
        assert SECRET not in preview(tools[1], a=value)
        assert fill_with_variables("{a}", {"a": value}) == value


MISBEHAVING_COMMANDS = {
    "hang": ["sleep", "60"],
    "flood": ["yes"],
    "flood stderr": ["sh", "-c", "yes >&2"],
    "daemon": ["sh", "-c", "setsid sleep 60 > /dev/null 2>&1 & exit 0"],
    "orphan holds the pipe": ["sh", "-c", "sleep 60 & exit 0"],
    "ignore signals": ["sh", "-c", "trap '' TERM INT HUP; sleep 60"],
    "large file": ["sh", "-c", "yes > large"],
    "binary": ["head", "-c", "1000", "/dev/urandom"],
    "kill the group": ["sh", "-c", "kill -9 0"],
    "close pipes": ["sh", "-c", "exec >&- 2>&-; sleep 60"],
    "read the terminal": ["sh", "-c", "cat /dev/tty"],
    "wait for input": ["cat"],
}


@pytest.mark.parametrize("name", MISBEHAVING_COMMANDS)
def test_no_command_breaks_the_turn(tmp_path: Path, name: str) -> None:
    limits = Limits(output_bytes=100_000, file_bytes=1 << 20)
    table = {"name": "bad", "command": MISBEHAVING_COMMANDS[name], "timeout": 0.5}
    (bad,) = load_tools({"tool": [table]}, SandboxConfig(tmp_path, limits=limits))
    start = time.monotonic()
    session = Session(
        Scripted(['[{"name": "bad", "arguments": {}}]'], ["Done."]),
        [bad],
        lambda _request: AllowOnce(),
    )
    (result,) = [event for event in session.send("go") if isinstance(event, ToolResult)]
    assert time.monotonic() - start < 4
    assert len(result.output) < 200_000
    assert isinstance(session.messages[-1], AssistantMessage)


@needs_isolation
@pytest.mark.parametrize(
    "command",
    [
        "cat {secret}",
        "cat ../secret",
        "cat out/secret",
        "cat config/policy.toml",
        "sh -c 'cat ~/.ssh/* ~/.netrc /root/* /home/*/*'",
        "sh -c 'echo evil > /usr/bin/evil'",
        "sh -c 'echo evil > config/policy.toml'",
        "sh -c 'echo evil > {secret}'",
        "sh -c 'rm -rf {top}/workshop'",
        "sh -c 'mount -o remount,rw /'",
        "sh -c 'umount config; cat config/policy.toml'",
        "sh -c 'cat /proc/*/environ'",
        "sh -c 'kill -9 {pid}'",
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 1)'",
        "python3 -c 'import os; os.setuid(0); print(open(\"{secret}\").read())'",
        "sh -c 'ls -A /run/docker.sock /tmp/* /var/tmp/*'",
        "sh -c 'ln -s {secret} l; cat l'",
        "sh -c 'unshare -r cat {secret}'",
        "nsenter -t 1 -a cat {secret}",
        "chroot /proc/1/root cat {secret}",
    ],
)
def test_no_isolated_command_escapes(
    hostile_tools: dict[str, Tool],
    hostile_paths: ToolPaths,
    tmp_path: Path,
    private_port: int,
    command: str,
) -> None:
    filled = command.format(
        secret=tmp_path / "secret", top=tmp_path, pid=os.getpid(), port=private_port
    )
    try:
        output = str(run(hostile_tools["run_command"], command=filled))
    except ToolError as error:
        output = str(error)
    assert SECRET not in output
    assert (tmp_path / "secret").read_text() == SECRET
    assert (tmp_path / "workshop" / "secret").exists()
    assert (hostile_paths.config / "policy.toml").read_text() == SECRET
    assert not Path("/usr/bin/evil").exists()


@needs_isolation
def test_no_isolated_program_creates_missing_settings(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    paths = ToolPaths(home / "config", home / "data", home / "state", home)
    with Toolbox.open(paths) as toolbox:
        (built_in,) = toolbox.sources
        (command,) = [tool for tool in built_in.tools if tool.name == "run_command"]
        for folder in ("config", "data", "state"):
            with suppress(ToolError):
                run(command, command=f"sh -c 'mkdir -p {folder}; echo x > {folder}/policy.toml'")
    assert not list(home.rglob("policy.toml"))


def test_a_required_level_is_never_weakened() -> None:
    with pytest.raises(ToolError):
        process.run(["true"], SandboxConfig(Path("/"), Sandbox.ISOLATED))
