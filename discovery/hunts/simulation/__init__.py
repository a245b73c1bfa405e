"""Simulated hunts: known labels as the person, and tables that compare strategies."""
