"""Pretraining of the large vision model."""
