"""Render the entries of the transcript as lines of the terminal."""
