"""Rounds: how a page follows from the state of a hunt, and how it is replayed."""
