from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools import packages, sandbox, tool
from xlam_local.tools.outline import outline
from xlam_local.tools.sandbox import Box
from xlam_local.tools.worker import Code, Worker
from xlam_local.types import Effect, Sandbox, Tool

isolated = pytest.mark.skipif(
    bool(sandbox.available(Sandbox.ISOLATED)), reason="programs cannot be isolated here"
)
FILE = '''
import os, sys, time
from dataclasses import dataclass
from xlam_local import Effect, tool

ENVIRONMENT = ["CITY_KEY"]
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

@tool(seconds=0.3)
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
    return "x" * (1 << 28)

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


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[dict[str, Tool]]:
    box = Box(tmp_path, environment={"CITY_KEY": "k"})
    worker = Worker(Code("my_tools.py", FILE), box)
    yield {made.name: made for made in worker.tools()}
    worker.close()


def run(made: Tool, **arguments: Any) -> Any:
    assert made.run is not None
    return made.run(**arguments)


def test_a_file_becomes_tools(tools: dict[str, Tool]) -> None:
    add = tools["add"]
    assert (add.description, add.effect, add.sandbox) == ("Add.", Effect.READ, Sandbox.LIMITS)
    assert add.parameters["properties"]["a"]["description"] == "The first."
    assert tools["hang"].seconds == 0.3
    assert run(add, a=1, point={"x": 2}) == 3
    assert add.preview is not None
    assert add.preview(a=5, point={"x": 1}) == "adds 5"
    assert tools["later"].preview is None


def test_its_process_lives_on_between_calls(tools: dict[str, Tool]) -> None:
    run(tools["add"], a=1, point={"x": 2})
    run(tools["add"], a=1, point={"x": 2})
    assert run(tools["counted"]) == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hang", "did not end within 0.3 seconds and was stopped"),
        ("large", "268,435,456 characters; at most 1,048,576"),
        ("crash", "ended in the middle of the call: it crashed"),
        ("leave", "SystemExit: 3"),
        ("fail", "KeyError: 'key'"),
    ],
)
def test_a_call_that_fails_is_told_and_the_next_one_works(
    tools: dict[str, Tool], name: str, told: str
) -> None:
    with pytest.raises(ToolError, match=told):
        run(tools[name])
    assert run(tools["add"], a=1, point={"x": 2}) == 3


def test_a_call_can_be_stopped(tools: dict[str, Tool]) -> None:
    stop = tools["nap"].stop
    assert stop is not None
    began = time.monotonic()
    threading.Timer(0.2, stop).start()
    with pytest.raises(ToolError, match="it was killed"):
        run(tools["nap"])
    assert time.monotonic() - began < 5
    assert run(tools["counted"]) == 0


def test_arguments_that_do_not_fit_are_told(tools: dict[str, Tool]) -> None:
    with pytest.raises(ToolError, match="point/x: Input should be a valid integer"):
        run(tools["add"], a=1, point={"x": "y"})


def test_what_is_no_text_comes_back_as_it_is(tools: dict[str, Tool]) -> None:
    assert run(tools["binary"]) == b"\xff\x00"
    assert run(tools["later"], n=3) == {"n": 3}
    assert run(tools["say"], words="é") == "é\n"


def test_a_tool_that_forks_answers_once(tools: dict[str, Tool]) -> None:
    assert [run(tools["fork"]) for _ in range(3)] == [1, 1, 1]
    assert run(tools["add"], a=1, point={"x": 2}) == 3


def test_a_file_sees_the_variables_it_names(
    tools: dict[str, Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tools["key"], name="CITY_KEY") == "k"
    assert run(tools["key"], name="HF_HOME") is None


TOOL = "from xlam_local import tool\n@tool"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nope", r"ModuleNotFoundError: No module named 'nope' \(line 1\)"),
        ("\n1 / 0", r"ZeroDivisionError: division by zero \(line 2\)"),
        ("x = 1", "no function in it is marked with @tool"),
        ("from xlam_local import tool\n@tool\ndef f(x): ...", "parameter 'x' has no type"),
        ("raise SystemExit", "SystemExit"),
        (f"{TOOL}(seconds=0)\ndef f(): ...", "'f': seconds is a number up to 3600"),
        (f"{TOOL}(seconds='x')\ndef f(): ...", "'f': seconds is a number up to 3600"),
        (f"{TOOL}(seconds=float('inf'))\ndef f(): ...", "seconds is a number up to 3600"),
        ("from xlam_local import Tool\nf = Tool('f', '', {'x': object()}, run=id)", "is not JSON"),
        ("from xlam_local import Tool\nf = Tool(5, '', {}, run=id)", "The tool at /0 has no name"),
        ("import os; os._exit(4)", r"ended in the middle of the call \(exit code 4\)"),
        (
            "from xlam_local import tool\n@tool\ndef f(): ...\ng = f\n@tool\ndef f(): ...",
            "two tools named 'f'",
        ),
    ],
)
def test_a_file_that_cannot_be_run_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ToolFileError, match=told):
        Worker(Code("my_tools.py", text), Box(tmp_path)).tools()


def test_a_module_beside_a_file_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    text = "import json\nfrom xlam_local import tool\n@tool\ndef f() -> int: return 1"
    worker = Worker(Code(str(tmp_path / "my_tools.py"), text), Box(tmp_path))
    assert [made.name for made in worker.tools()] == ["f"]
    worker.close()


def test_what_a_file_holds_is_told_without_running_it(tmp_path: Path) -> None:
    text = FILE + "\nimport os\nos.abort()\nSANDBOX = 'isolated'\nNETWORK = True\nMEMORY = 0.5\n"
    told = outline(text, tmp_path)
    assert [(one.name, one.effect) for one in told.functions][:3] == [
        ("add", Effect.READ),
        ("counted", Effect.READ),
        ("hang", Effect.EXECUTE),
    ]
    assert told.functions[0].summary == "Add."
    assert told.environment == ("CITY_KEY",)
    assert (told.sandbox, told.network, told.memory) == (Sandbox.ISOLATED, True, 1 << 29)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(:", "is not Python: .* at line 1"),
        ("SANDBOX = 'strong'", "SANDBOX at line 1 is not"),
        ("NETWORK = 1", "NETWORK at line 1 is not"),
        ("ENVIRONMENT = 'HOME'", "ENVIRONMENT at line 1 is not"),
        ("ENVIRONMENT = names()", "ENVIRONMENT at line 1 is not"),
        ("x = '\0'", "is not Python"),
        ("MEMORY = 'all'", "MEMORY at line 1 is not a number of GiB"),
        ("SANDBOX: str = 'strong'", "SANDBOX at line 1 is not"),
        (
            "if True:\n  SANDBOX = 'isolated'",
            "SANDBOX at line 2 has to be set in a line of its own",
        ),
        ("SANDBOX = NETWORK = 'isolated'", "has to be set in a line of its own"),
        ("NETWORK, x = True, 1", "has to be set in a line of its own"),
        ("-" * 100_000 + "1", "is not Python: it is nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ToolFileError, match=told):
        outline(text, tmp_path / "tools.py")


def test_a_setting_may_have_its_type_beside_it(tmp_path: Path) -> None:
    text = "SANDBOX: Final = 'isolated'\ndef f():\n  NETWORK = 1\nprint(MEMORY)\n"
    assert outline(text, tmp_path / "t.py").sandbox is Sandbox.ISOLATED


class Size(Enum):
    SMALL = "small"


class Address(TypedDict):
    """An address.

    Args:
        street: The street's name.
    """

    street: str
    number: int


class Order(BaseModel):
    size: Size
    when: date


@dataclass
class Stop:
    """A place to stop at.

    Attributes:
        at: Where it is.
        note: What to mind there.
    """

    at: Address
    note: str | None = None


@tool(Effect.READ)
def send(
    order: Order,
    stops: list[Stop],
    count: Annotated[int, Field(ge=1, le=9)] = 1,
    how: Literal["fast", "slow"] | int = "fast",
    tags: dict[str, float] | None = None,
) -> list[object]:
    """Send."""
    return [order.size, order.when, stops[0], count, how, tags, {1}]


def test_types_become_schemas_and_arguments_become_types() -> None:
    properties = send.parameters["properties"]
    assert properties["count"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 1}
    assert properties["how"]["anyOf"] == [
        {"enum": ["fast", "slow"], "type": "string"},
        {"type": "integer"},
    ]
    assert send.parameters["required"] == ["order", "stops"]
    assert set(send.parameters["$defs"]) == {"Size", "Address", "Order", "Stop"}
    stops = send.parameters["$defs"]["Stop"]
    assert stops["description"] == "A place to stop at."
    assert stops["properties"]["at"]["description"] == "Where it is."
    assert stops["properties"]["note"]["description"] == "What to mind there."
    street = send.parameters["$defs"]["Address"]["properties"]["street"]
    assert street == {"type": "string", "description": "The street's name."}
    stop = {"at": {"street": "s", "number": 1}}
    told = run(send, order={"size": "small", "when": "2026-11-22"}, stops=[stop])
    assert told == ["small", "2026-11-22", {**stop, "note": None}, 1, "fast", None, [1]]


@tool
def loud(n: int) -> None:
    print("said", n)


@tool(Effect.READ, seconds=0.2)
def slow() -> None:
    time.sleep(1)


@tool(Effect.READ)
async def soon(n: int) -> int:
    await asyncio.sleep(0)
    return n


@tool
def stop() -> None:
    sys.exit(1)


@tool
def circle() -> list[object]:
    found: list[object] = []
    found.append(found)
    return found


def test_a_function_here_does_not_write_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    assert run(loud, n=3) == "said 3\n"
    assert sys.stdout is before
    assert capsys.readouterr().out == ""
    assert loud.effect is Effect.EXECUTE


def test_a_function_here_cannot_hang_or_end_the_program() -> None:
    with pytest.raises(ToolError, match=r"did not end within 0\.2 seconds, and was left behind"):
        run(slow)
    with pytest.raises(ToolError, match="tried to end the program"):
        run(stop)
    with pytest.raises(ToolError, match="cannot be told"):
        run(circle)


def test_an_async_function_is_waited_for() -> None:
    assert run(soon, n=4) == 4


def test_a_call_costs_less_than_a_millisecond() -> None:
    run(soon, n=1)
    began = time.perf_counter()
    for _ in range(200):
        run(loud, n=1)
    assert (time.perf_counter() - began) / 200 < 0.005


def test_a_worker_whose_parent_is_gone_ends(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
from xlam_local.tools.sandbox import Box
from xlam_local.tools.worker import Code, Worker
text = "import os\\nfrom xlam_local import tool\\n@tool\\ndef pid() -> int: return os.getpid()"
worker = Worker(Code("t.py", text), Box(Path({str(tmp_path)!r})))
print(worker.tools()[0].run(), flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    pid = int(done.stdout)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the worker lives on")


def test_a_module_of_a_package_runs_as_it_was_agreed_to(tmp_path: Path) -> None:
    package = tmp_path / "site" / "weather"
    (package / "deep").mkdir(parents=True)
    for name in ("__init__.py", "deep/__init__.py"):
        (package / name).write_text("")
    (package / "help.py").write_text("WORD = 'good'")
    (package / "deep" / "tools.py").write_text(
        "from weather.help import WORD\nfrom xlam_local import tool\n"
        "@tool\ndef f() -> str: return WORD\n@tool\ndef g() -> str: return WORD\n"
    )
    path, module = package / "deep" / "tools.py", "weather.deep.tools"
    known = packages.known_by(path, module)
    code = Code(str(path), path.read_text(), module, "f", known)
    box = Box(tmp_path, environment={"PYTHONPATH": str(tmp_path / "site")})
    worker = Worker(code, box)
    (made,) = worker.tools()
    assert run(made) == "good"
    worker.close()
    (package / "help.py").write_text("raise SystemExit('evil')")
    with pytest.raises(ToolError, match="has changed since it was agreed to"):
        run(made)
    (package / "help.py").write_text("WORD = 'good'")
    assert run(made) == "good"
    worker.close()
    single = tmp_path / "site" / "single.py"
    single.write_text(path.read_text())
    assert packages.known_by(single, "single") != packages.known_by(path, module) != ""


@isolated
def test_an_isolated_process_lives_on_between_calls(tmp_path: Path) -> None:
    """Whoever started it may be gone by then: each call has a thread of its own."""
    text = (
        "import uuid\nfrom xlam_local import tool\nME = str(uuid.uuid4())\n"
        "@tool\ndef who() -> str: return ME\n"
    )
    worker = Worker(Code("t.py", text), Box(tmp_path, Sandbox.ISOLATED))
    with ThreadPoolExecutor(1) as pool:
        (made,) = pool.submit(worker.tools).result()
    said = []
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            said.append(pool.submit(run, made).result())
        time.sleep(0.1)
    worker.close()
    assert len(set(said)) == 1
