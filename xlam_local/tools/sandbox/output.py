"""The output of a program as the result of a tool."""

from __future__ import annotations

from ...errors import ToolError
from ...json_lines_process import exit_reason
from .config import Limits
from .process import CompletedProcess

MAX_ERROR_CHARS = 4_000
"""How much of a failed program's output an error message contains."""


def output_or_error(program: str, completed: CompletedProcess, limits: Limits) -> str | bytes:
    """Return stdout, or stderr if there is none; binary data as bytes.

    Raises:
        ToolError: the program failed, or exceeded one of its limits.
    """
    stdout, stderr = decode_output(completed.stdout), decode_output(completed.stderr)
    if completed.stop_reason == "output":
        start = stdout[:MAX_ERROR_CHARS] if isinstance(stdout, str) else "(binary)"
        raise ToolError(
            f"{program} was stopped: it printed more than {limits.output_bytes:,} bytes. "
            f"The output starts with:\n{start}"
        )
    if completed.stop_reason == "time":
        raise ToolError(
            f"{program} was stopped: it ran longer than {limits.timeout:g} seconds."
            f"{_error_output(stdout, stderr)}"
        )
    if completed.exit_code:
        raise ToolError(
            f"{program} {exit_reason(completed.exit_code)}.{_error_output(stdout, stderr)}"
        )
    return stdout or stderr


def decode_output(data: bytes) -> str | bytes:
    """Decode text, with replacement characters for invalid UTF-8; return binary data as it is."""
    return data if b"\0" in data else data.decode("utf-8", "replace")


def _error_output(stdout: str | bytes, stderr: str | bytes) -> str:
    """Return the end of stderr, or of stdout if stderr is empty; errors usually come last."""
    if isinstance(stderr, bytes):
        return ""
    text = stderr.strip() or str(stdout).strip()
    return f"\n{text[-MAX_ERROR_CHARS:]}".rstrip()
