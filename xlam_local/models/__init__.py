"""Models: the catalog, the store, downloads, and GGUF headers.

`pull_model` downloads models. It is not imported here, because huggingface_hub is slow to import.
"""

from .file_hash import file_sha256
from .store import default_path, find_path, get_installed, list_installed, record_use
from .types import InstalledModel, Progress, Store, format_bytes

__all__ = [
    "InstalledModel",
    "Progress",
    "Store",
    "default_path",
    "file_sha256",
    "find_path",
    "format_bytes",
    "get_installed",
    "list_installed",
    "record_use",
]
