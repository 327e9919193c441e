"""The model store of the user who runs a command."""

from __future__ import annotations

from .. import config
from ..models import Store


def user_store() -> Store:
    """Return the store in the user's folders."""
    folders = config.folders()
    return Store.from_folders(folders.config, folders.data)
