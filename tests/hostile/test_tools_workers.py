"""Python tools that hang, crash, print too much or attack their process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fakes.fake_engine import Scripted
from xlam_local.session import Session
from xlam_local.tools.python.worker import ToolCode, Worker
from xlam_local.tools.sandbox.config import Limits, SandboxConfig
from xlam_local.types import AllowOnce, AssistantMessage, ToolResult

MISBEHAVING_CODE = {
    "hang": "import time\ntime.sleep(60)",
    "spin": "while True: pass",
    "flood": "return 'x' * (1 << 30)",
    "flood stdout": "import os\nfor _ in range(100): os.write(1, b'x' * 65536)\nreturn ''",
    "memory": "return bytearray(1 << 40)",
    "exit": "import os\nos._exit(0)",
    "abort": "import os\nos.abort()",
    "kill itself": "import os\nos.kill(os.getpid(), 9)",
    "stack": "def g(): return g()\ng()",
    "system exit": "raise SystemExit",
    "interrupt": "raise KeyboardInterrupt",
    "base": "raise BaseException('x')",
    "circle": "x = []\nx.append(x)\nreturn x",
    "deep": "x = []\nfor _ in range(100_000): x = [x]\nreturn x",
    "binary": "return b'\\xff' * 100",
    "surrogate": "return '\\ud800'",
    "nan": "return float('nan')",
    "read stdin": "import sys\nreturn sys.stdin.read()",
    "close all": "import os\nos.closerange(0, 3)\nreturn ''",
    "forge": 'import os\nfor fd in range(3, 30):\n  try: os.write(fd, b\'{"value": "forged\')\n'
    "  except OSError: pass\nos._exit(0)",
    "fork away": "import os\nif os.fork() == 0: os.setsid()\nreturn ''",
    "thread": "import threading, time\n"
    "threading.Thread(target=lambda: time.sleep(60)).start()\nreturn ''",
    "replace stdout": "import sys\nsys.stdout = None\nprint('x')\nreturn ''",
    "bad repr": "class X:\n  def __str__(self): raise ValueError\nreturn X()",
    "many files": "return [open('/dev/null') for _ in range(100_000)]",
}


@pytest.mark.parametrize("name", MISBEHAVING_CODE)
def test_no_tool_breaks_the_turn(tmp_path: Path, name: str) -> None:
    body = MISBEHAVING_CODE[name].replace("\n", "\n    ")
    text = (
        "from typing import Any\nfrom xlam_local import tool\n"
        f"@tool(timeout=1)\ndef bad() -> Any:\n    {body}\n"
        "@tool\ndef good() -> int:\n    return 1\n"
    )
    sandbox = SandboxConfig(tmp_path, limits=Limits(memory_bytes=2 << 30))
    worker = Worker(ToolCode("bad.py", text), sandbox)
    start = time.monotonic()
    try:
        bad, good = worker.tools()
        replies = [[f'[{{"name": "{tool}", "arguments": {{}}}}]'] for tool in ("bad", "good")]
        session = Session(Scripted(*replies, ["Done."]), [bad, good], lambda _: AllowOnce())
        results = [event for event in session.send("go") if isinstance(event, ToolResult)]
    finally:
        worker.close()
    assert time.monotonic() - start < 10
    assert len(results) == 2
    assert len(results[0].output) < 1 << 21
    assert results[1].output == "1"
    assert isinstance(session.messages[-1], AssistantMessage)
