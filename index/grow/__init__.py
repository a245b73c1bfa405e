"""Releases that grow from older ones, and their repair."""
