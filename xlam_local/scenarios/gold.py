"""Run the right calls of a scenario in a fresh world, which gives the right end state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ..agent.tool_call import run_call
from ..errors import UsageError
from ..generators import drain
from ..permissions.approver import Approver
from ..session import deny_all
from ..types import Sandbox, Tool, ToolCall
from .scenario import Scenario
from .state import State, read_state
from .variations import VariedTools
from .world import fresh_world


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolWorlds:
    """How tools run in worlds."""

    open_tools: Callable[[Path], AbstractContextManager[Sequence[Tool]]]
    """Opens the tools of the user's files in a world."""
    open_approver: Callable[[Path, Sequence[Tool]], Approver]
    """Returns the approver for a world, which lets the given tools run without asking."""
    allow: Collection[str] = ()
    """The tools that run without asking though they are not isolated."""

    def approver(self, world: Path, offered: VariedTools) -> Approver:
        """Return the approver of a run: isolated tools can change nothing but the world."""
        allowed = [
            tool
            for tool in offered.tools
            if offered.names.get(tool.name, tool.name) in self.allow
            or (tool.sandbox is Sandbox.ISOLATED and not tool.network)
        ]
        return self.open_approver(world, allowed)


def right_end_state(scenario: Scenario, worlds: ToolWorlds) -> State | None:
    """Return the state after the right calls in a fresh world; None if the scenario has none.

    Raises:
        UsageError: a call failed or needs approval.
    """
    if scenario.calls is None:
        return None
    with fresh_world(scenario.start) as world:
        if scenario.calls:
            with worlds.open_tools(world) as tools:
                _run_right_calls(scenario, worlds.approver(world, VariedTools(tuple(tools))), tools)
        return read_state(world, scenario.start.ignore)


def _run_right_calls(scenario: Scenario, approver: Approver, tools: Sequence[Tool]) -> None:
    for number, call in enumerate(scenario.calls or (), 1):
        _run_right_call(call, f"{scenario.where}: calls, call {number}", tools, approver)


def _run_right_call(call: ToolCall, where: str, tools: Sequence[Tool], approver: Approver) -> None:
    tool = next(tool for tool in tools if tool.name == call.name)
    result = drain(
        run_call(tool, call, lambda tool, call: approver.decide(tool, call, (), tools, deny_all))
    )
    if result.refused:
        raise UsageError(
            f"{where} ({call.name}) needs approval, because the tool is not isolated. Add "
            f'--allow {call.name}, or write SANDBOX = "isolated" in the tool file.'
        )
    if not result.ok:
        raise UsageError(f"{where} ({call.name}) failed: {result.output}")
