"""Hunts in the browser and in JSON."""
