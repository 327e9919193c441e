"""Run programs with limits, or isolated from the rest of the machine."""
