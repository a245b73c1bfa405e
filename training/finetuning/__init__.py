"""Finetuning: one folder a task."""
