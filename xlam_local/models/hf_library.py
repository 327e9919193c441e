"""The parts of huggingface_hub that this package uses.

huggingface_hub reads its environment variables while it is imported, and raises ValueError if one
of them is not a number. This is the only module that imports it.
"""

from __future__ import annotations

from ..errors import UsageError

try:
    from huggingface_hub import (
        HfApi,
        constants,
        errors,
        get_hf_file_metadata,
        get_token,
        hf_hub_url,
    )
except ValueError as error:
    raise UsageError(
        f"An environment variable that begins with HF_ is invalid: {error}."
    ) from error

__all__ = ["HfApi", "constants", "errors", "get_hf_file_metadata", "get_token", "hf_hub_url"]
