"""Run the command line with `python -m xlam_local`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
