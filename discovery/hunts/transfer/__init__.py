"""Hunts carried to another release: moved with their labels, or applied as a ranking."""
