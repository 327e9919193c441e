"""What hostile tests must not get out."""

from __future__ import annotations

SECRET = "s3cr3t-t0k3n"
