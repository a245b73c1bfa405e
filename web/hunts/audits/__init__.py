"""The audit of a hunt."""
