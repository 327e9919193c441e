"""State and background work of the app, without widgets."""
