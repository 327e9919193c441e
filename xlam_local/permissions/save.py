"""Add a grant to the text of a policy.toml."""

from __future__ import annotations

from ..errors import UsageError
from .rules import Grant


def add_grant(text: str, grant: Grant) -> str:
    """Return the text of a policy.toml with one more grant; comments and other entries stay.

    Raises:
        UsageError: The grants in the file are an inline array, which cannot be extended.
    """
    import tomlkit
    from tomlkit.items import AoT

    document = tomlkit.parse(text)
    tables = document.setdefault("grant", tomlkit.aot())
    if not isinstance(tables, AoT):
        raise UsageError("Write `grant` as [[grant]] tables so that a grant can be added.")
    table = tomlkit.table()
    table.add("tool", grant.tool)
    for key, value in (
        ("source", grant.source),
        ("file", grant.file),
        ("call", grant.call),
        ("cwd", grant.cwd),
        ("paths", list(grant.paths)),
        ("tainted", grant.tainted),
        ("digest", grant.digest),
    ):
        if value:
            table.add(key, value)
    tables.append(table)
    return tomlkit.dumps(document)
