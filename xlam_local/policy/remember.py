"""An answer kept for good, written into a policy whose comments stay."""

from __future__ import annotations

from .rules import Allowance


def remember(text: str, allowance: Allowance) -> str:
    """The text of a policy.toml with one allowance more; all else stays as it is."""
    import tomlkit
    from tomlkit.items import AoT

    document = tomlkit.parse(text)
    table = tomlkit.table()
    table.add("tool", allowance.tool)
    for key in ("source", "call", "within"):
        if value := getattr(allowance, key):
            table.add(key, value)
    if allowance.reaches:
        table.add("reaches", list(allowance.reaches))
    if allowance.tainted:
        table.add("tainted", True)
    tables = document.get("always")
    if isinstance(tables, AoT):
        tables.append(table)
    else:
        document.add("always", tomlkit.aot())
        document["always"].append(table)
    return tomlkit.dumps(document)
