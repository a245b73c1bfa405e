"""A hunt in a notebook cell."""
