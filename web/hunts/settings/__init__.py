"""The settings of a hunt."""
