"""Measure the accuracy of a model: the leaderboard's cases and the user's own."""
