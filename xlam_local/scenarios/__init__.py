"""Check a model on the user's own tasks: scenarios, fresh worlds, and what a run must leave."""
