"""The history of a hunt, and where people differ."""
