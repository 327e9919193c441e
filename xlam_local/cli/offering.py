"""The tools that a command offers, once their user has agreed to the files that run something."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import config
from ..errors import ToolFileError, UsageError
from ..sanitize import printable
from ..types import Tool

if TYPE_CHECKING:
    from ..tools import Places, Source, Toolbox


@dataclass(frozen=True, slots=True)
class How:
    """How a toolbox is opened."""

    quiet: bool = False
    """Whether nothing is said of what cannot be offered."""
    runs: bool = True
    """Whether tools may run: what is only looked at need not be agreed to, but for Python."""


QUIET = How(quiet=True)
LOOKS = How(quiet=True, runs=False)


def open_box(
    folder: Path, named: Sequence[Path] = (), trust: bool = False, how: How = How()
) -> Toolbox:
    """Everything that there is to offer for a working folder, agreed to where that was asked.

    Raises:
        UsageError: a file named cannot be used, or its user does not agree to it.
    """
    from ..tools import Toolbox

    box = Toolbox.open(places(folder), named, trust)
    try:
        settle(box, runs=_any if how.runs else _python)
        if not how.quiet:
            tell(box)
    except BaseException:
        box.close()
        raise
    return box


def places(folder: Path) -> Places:
    """Where tools are found and what is remembered of them is kept."""
    from ..tools import Places

    own = config.folders()
    return Places(own.config, own.data, own.state, folder)


def schemas(named: Sequence[Path], trust: bool) -> tuple[Tool, ...]:
    """The tools of the files named, without what runs them.

    Raises:
        UsageError: a file cannot be used, or is Python and its user does not agree to it.
    """
    if not named:
        return ()
    from ..tools import Toolbox

    with Toolbox.open(places(Path()), named, trust, alone=True) as box:
        settle(box, runs=_python)
        found = [tool for source in box.own() for tool in source.tools]
    for number, tool in enumerate(found):
        if tool.name in {other.name for other in found[:number]}:
            raise ToolFileError(f"There are two tools named {tool.name!r}.")
    return tuple(replace(tool, run=None, preview=None) for tool in found)


def _any(source: Source) -> bool:
    return True


def _python(source: Source) -> bool:
    """Whether a source tells its schemas only when it runs."""
    return source.kind == "python"


def settle(box: Toolbox, trust: bool = False, runs: Callable[[Source], bool] = _any) -> None:
    """See that the files named by the user can be used, and ask about those that run something.

    Raises:
        UsageError: one cannot be used, or its user does not agree to it.
    """
    for source in box.own():
        if source.state == "not agreed" and runs(source):
            agree(box, source, trust)
    for source in box.own():
        if source.state == "failed":
            raise ToolFileError(source.detail)


def open_alone(named: Sequence[Path]) -> Toolbox:
    """Only the files named."""
    from ..tools import Toolbox

    return Toolbox.open(places(Path()), named, alone=True)


def agree(box: Toolbox, source: Source, trust: bool = False) -> None:
    """Agree to what a file runs: at once with `trust`, else where somebody can be asked.

    Raises:
        UsageError: nobody can be asked, or the answer is no.
    """
    if source.kind == "mcp":
        box.look(source.name)
        source = next(one for one in box.sources if one.name == source.name)
        if source.state != "not agreed":
            raise UsageError(f"{source.name}: {source.detail or source.state}")
    if trust:
        box.agree(source.name, source.version)
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"The tools of {source.name!r} run code of their own, and nobody has agreed to that; "
            "--trust does."
        )
    told = f"\n{source.place or source.name} has these tools:\n{source.detail}"
    click.echo(printable(told), err=True)
    if not click.confirm("May they run on this machine?", default=False, err=True):
        raise UsageError(f"The file of tools {source.name!r} was not agreed to.")
    box.agree(source.name, source.version)


def tell(box: Toolbox) -> None:
    """Say on stderr which of the user's own sources offer nothing now, and why."""
    for source in box.sources:
        if source.state in {"failed", "not agreed"}:
            reason = SHORT.get(source.state) or source.detail.partition("\n")[0]
            click.echo(printable(f"No tools from {source.name!r}: {reason}"), err=True)


SHORT = {"not agreed": "it was not agreed to yet; `xlam-local tools agree` shows and asks."}
