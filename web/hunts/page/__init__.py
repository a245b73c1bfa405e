"""The page of a hunt: its latest round."""
