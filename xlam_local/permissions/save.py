"""An answer kept for good, written into a policy whose comments stay."""

from __future__ import annotations

from ..errors import UsageError
from .rules import Allowance


def remember(text: str, allowance: Allowance) -> str:
    """The text of a policy.toml with one allowance more; all else stays as it is.

    Raises:
        UsageError: those that are there are not in tables of their own.
    """
    import tomlkit
    from tomlkit.items import AoT

    document = tomlkit.parse(text)
    table = tomlkit.table()
    table.add("tool", allowance.tool)
    for key in ("source", "place", "call", "within"):
        if value := getattr(allowance, key):
            table.add(key, value)
    if allowance.reaches:
        table.add("reaches", list(allowance.reaches))
    if allowance.tainted:
        table.add("tainted", True)
    tables = document.setdefault("always", tomlkit.aot())
    if not isinstance(tables, AoT):
        raise UsageError("`always` has to be written as tables, [[always]], to be added to.")
    tables.append(table)
    return tomlkit.dumps(document)
