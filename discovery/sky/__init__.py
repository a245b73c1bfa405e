"""Positions on the sky: cones, cross-matches, image headers."""
