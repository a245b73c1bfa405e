"""Long work outside the requests."""
