"""The page of one object."""
