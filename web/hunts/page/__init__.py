"""The page of a hunt: its present round."""
