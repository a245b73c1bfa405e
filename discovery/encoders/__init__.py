"""Encoders: stamps in, unit vectors out; the large vision model and its heads."""
