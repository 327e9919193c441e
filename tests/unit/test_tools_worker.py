from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.tool_calls import needs_isolation, preview, run
from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools import entry_points
from xlam_local.tools.python.worker import ToolCode, Worker
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.types import Effect, Sandbox, Tool

FILE = '''
import os, sys, time
from dataclasses import dataclass
from xlam_local import Effect, tool

ENV = ["CITY_KEY"]
count = 0

@dataclass
class Point:
    x: int

@tool(Effect.READ, preview=lambda a, point: f"adds {a}")
def add(a: int, point: Point) -> int:
    """Add.

    Args:
        a: The first.
    """
    global count
    count += 1
    print("noise")
    os.write(1, b"noise")
    return a + point.x

@tool(Effect.READ)
def counted() -> int:
    return count

@tool(timeout=0.3)
def hang() -> None:
    time.sleep(100)

@tool
def say(words: str) -> None:
    print(words)

@tool
def nap() -> None:
    time.sleep(30)

@tool
def large() -> str:
    return "x" * ((1 << 20) + 1)

@tool
def crash() -> None:
    os.kill(os.getpid(), 11)

@tool
def leave() -> None:
    sys.exit(3)

@tool
def fail() -> None:
    {}["key"]

@tool
def binary() -> bytes:
    return b"\\xff\\x00"

@tool
def fork() -> int:
    os.fork()
    return 1

@tool
def key(name: str) -> str | None:
    return os.environ.get(name)

@tool
async def later(n: int) -> dict[str, int]:
    return {"n": n}
'''


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tool]]:
    """The tools of one worker. A test may kill its process; the next call starts it again."""
    sandbox = SandboxConfig(tmp_path_factory.mktemp("work"), env={"CITY_KEY": "k"})
    worker = Worker(ToolCode("my_tools.py", FILE), sandbox)
    yield {tool.name: tool for tool in worker.tools()}
    worker.close()


def test_a_file_becomes_tools(tools: dict[str, Tool]) -> None:
    add = tools["add"]
    assert (add.description, add.effect, add.sandbox) == ("Add.", Effect.READ, Sandbox.LIMITS)
    assert add.parameters["properties"]["a"]["description"] == "The first."
    assert tools["hang"].timeout == 0.3
    assert run(add, a=1, point={"x": 2}) == 3
    assert preview(add, a=5, point={"x": 1}) == "adds 5"
    assert tools["later"].preview is None


def test_the_process_stays_alive_between_calls(tools: dict[str, Tool]) -> None:
    count = run(tools["counted"])
    run(tools["add"], a=1, point={"x": 2})
    run(tools["add"], a=1, point={"x": 2})
    assert run(tools["counted"]) == count + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hang", r"did not finish within 0\.3 seconds"),
        ("large", "1,048,577 characters; the limit is 1,048,576"),
        ("crash", r"crashed \(SIGSEGV\) during the call"),
        ("leave", "SystemExit: 3"),
        ("fail", "KeyError: 'key'"),
    ],
)
def test_a_call_that_fails_raises_an_error_and_the_next_call_works(
    tools: dict[str, Tool], name: str, message: str
) -> None:
    with pytest.raises(ToolError, match=message):
        run(tools[name])
    assert run(tools["add"], a=1, point={"x": 2}) == 3


@pytest.mark.slow
def test_a_call_can_be_cancelled(tools: dict[str, Tool]) -> None:
    cancel = tools["nap"].cancel
    assert cancel is not None
    start = time.monotonic()
    threading.Timer(0.2, cancel).start()
    with pytest.raises(ToolError, match="was killed during the call"):
        run(tools["nap"])
    assert time.monotonic() - start < 5
    assert run(tools["counted"]) == 0


def test_invalid_arguments_raise_an_error(tools: dict[str, Tool]) -> None:
    with pytest.raises(ToolError, match="point/x: Input should be a valid integer"):
        run(tools["add"], a=1, point={"x": "y"})


def test_results_of_all_kinds_are_returned(tools: dict[str, Tool]) -> None:
    assert run(tools["binary"]) == b"\xff\x00"
    assert run(tools["later"], n=3) == {"n": 3}
    assert run(tools["say"], words="é") == "é\n"


def test_a_tool_that_forks_answers_once(tools: dict[str, Tool]) -> None:
    assert [run(tools["fork"]) for _ in range(3)] == [1, 1, 1]
    assert run(tools["add"], a=1, point={"x": 2}) == 3


def test_a_file_gets_only_the_variables_that_it_names(tools: dict[str, Tool]) -> None:
    assert run(tools["key"], name="CITY_KEY") == "k"
    assert run(tools["key"], name="HF_HOME") is None


TOOL = "from xlam_local import tool\n@tool"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nope", r"ModuleNotFoundError: No module named 'nope' \(line 1\)"),
        ("\n1 / 0", r"ZeroDivisionError: division by zero \(line 2\)"),
        ("x = 1", "No function in it has the decorator @tool"),
        (f"{TOOL}\ndef f(x): ...", "parameter 'x' has no type"),
        ("raise SystemExit", "SystemExit"),
        (f"{TOOL}(timeout=0)\ndef f(): ...", "'f': timeout must be a number of seconds"),
        ("from xlam_local import Tool\nf = Tool('f', '', {'x': object()}, run=id)", "is not JSON"),
        ("from xlam_local import Tool\nf = Tool(5, '', {}, run=id)", "The tool at /0 has no name"),
        ("import os; os._exit(4)", r"exited with code 4 during the call"),
        (f"{TOOL}\ndef f(): ...\ng = f\n@tool\ndef f(): ...", "two tools named 'f'"),
    ],
)
def test_a_file_that_cannot_be_run_raises_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ToolFileError, match=message):
        Worker(ToolCode("my_tools.py", text), SandboxConfig(tmp_path)).tools()


BAD_FUNCTIONS = {
    "untyped": "@tool\ndef untyped(x): ...",
    "positional": "@tool\ndef positional(x: int, /): ...",
    "star": "@tool(Effect.READ)\ndef star(*x: int): ...",
    "unknown": "@tool\ndef unknown(x: 'Nowhere'): ...",
    "strange": "@tool\ndef strange(x: object()): ...",
    "own_class": "class Own: pass\n@tool\ndef own_class(x: Own): ...",
    "late": "@tool(timeout=-1)\ndef late(x: int): ...",
    "effect": "@tool('read')\ndef effect(x: int): ...",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD_FUNCTIONS)
def test_one_bad_function_does_not_cost_the_others(tmp_path: Path, name: str) -> None:
    text = f"{TOOL.replace('import tool', 'import Effect, tool')}\ndef good(): ...\n"
    worker = Worker(ToolCode("f.py", text + BAD_FUNCTIONS[name]), SandboxConfig(tmp_path))
    try:
        assert [tool.name for tool in worker.tools()] == ["good"]
        (why,) = worker.left_out
        assert why.startswith(f"Tool {name!r}")
    finally:
        worker.close()


def test_a_module_beside_the_file_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    text = "import json\nfrom xlam_local import tool\n@tool\ndef f() -> int: return 1"
    sandbox = SandboxConfig(tmp_path, network=True)
    worker = Worker(ToolCode(str(tmp_path / "my_tools.py"), text), sandbox)
    assert [(tool.name, tool.network) for tool in worker.tools()] == [("f", True)]
    worker.close()


@pytest.mark.slow
def test_a_worker_imports_the_same_package_as_its_parent(tmp_path: Path) -> None:
    text = (
        "import xlam_local\nfrom xlam_local import tool\n"
        "@tool\ndef where() -> str: return xlam_local.__file__"
    )
    worker = Worker(ToolCode("t.py", text), SandboxConfig(tmp_path))
    expected = Path(entry_points.__file__).parents[1] / "__init__.py"
    assert run(worker.tools()[0]) == str(expected)
    worker.close()


@pytest.mark.slow
def test_a_worker_exits_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from xlam_local.tools.sandbox.config import SandboxConfig
from xlam_local.tools.python.worker import ToolCode, Worker
text = "import os\\nfrom xlam_local import tool\\n@tool\\ndef pid() -> int: return os.getpid()"
worker = Worker(ToolCode("t.py", text), SandboxConfig(Path({str(tmp_path)!r})))
print(worker.tools()[0].run(), flush=True)
os._exit(0)
"""
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    pid = int(completed.stdout)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("The worker is still running.")


@pytest.mark.slow
def test_a_package_runs_only_as_it_was_trusted(tmp_path: Path) -> None:
    package = tmp_path / "site" / "weather"
    (package / "deep").mkdir(parents=True)
    for name in ("__init__.py", "deep/__init__.py"):
        (package / name).write_text("")
    (package / "help.py").write_text("WORD = 'good'")
    path, module = package / "deep" / "tools.py", "weather.deep.tools"
    path.write_text(
        "from weather.help import WORD\nfrom xlam_local import tool\n"
        "@tool\ndef f() -> str: return WORD\n@tool\ndef g() -> str: return WORD\n"
    )
    package_hash = entry_points.package_hash(path, module)
    code = ToolCode(str(path), path.read_text(), module, "f", package_hash)
    worker = Worker(code, SandboxConfig(tmp_path, env={"PYTHONPATH": str(tmp_path / "site")}))
    (tool,) = worker.tools()
    assert run(tool) == "good"
    worker.close()
    (package / "help.py").write_text("raise SystemExit('evil')")
    with pytest.raises(ToolError, match="The package has changed since it was trusted"):
        run(tool)
    (package / "help.py").write_text("WORD = 'good'")
    assert run(tool) == "good"
    worker.close()
    single = tmp_path / "site" / "single.py"
    single.write_text(path.read_text())
    assert entry_points.package_hash(single, "single") != package_hash != ""


@pytest.mark.slow
@needs_isolation
def test_an_isolated_process_stays_alive_between_calls(tmp_path: Path) -> None:
    """Each call has a thread of its own, and the thread that started the process may be gone."""
    text = (
        "import uuid\nfrom xlam_local import tool\nME = str(uuid.uuid4())\n"
        "@tool\ndef who() -> str: return ME\n"
    )
    worker = Worker(ToolCode("t.py", text), SandboxConfig(tmp_path, Sandbox.ISOLATED))
    with ThreadPoolExecutor(1) as pool:
        (tool,) = pool.submit(worker.tools).result()
    answers = []
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            answers.append(pool.submit(run, tool).result())
        time.sleep(0.1)
    worker.close()
    assert len(set(answers)) == 1
