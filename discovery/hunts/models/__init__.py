"""Ranking models: score objects from the labels of a hunt."""
