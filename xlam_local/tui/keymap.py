"""The key bindings that the user can change, and the `keys.toml` that changes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode

from .. import toml_values
from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class KeyBinding:
    """The default keys of an action."""

    keys: str
    """Separated by commas."""
    help: str


def collect_bindings(owners: Iterable[type[DOMNode]]) -> dict[str, KeyBinding]:
    """Return the bindings of these classes that the user can change, by their ids."""
    return {
        binding.id: KeyBinding(binding.key, binding.description)
        for owner in owners
        for binding in owner.BINDINGS
        if isinstance(binding, Binding) and binding.id is not None
    }


def load_keymap(path: Path, ids: Collection[str]) -> dict[str, str]:
    """Return the keys of `keys.toml` by the ids of the bindings; nothing if there is no file.

    Raises:
        UsageError: the file cannot be read, or an entry in it is invalid.
    """
    try:
        table = toml_values.load(path)
    except UsageError as error:
        raise UsageError(f"{error} The default keys are used.") from error
    for id_, keys in table.items():
        if id_ not in ids:
            raise UsageError(
                f"{path}: no key binding is named {id_!r}. Use one of: {', '.join(sorted(ids))}."
            )
        if not isinstance(keys, str) or not keys.strip():
            raise UsageError(f"{path}: {id_} must be a key such as 'ctrl+t'.")
    return table
