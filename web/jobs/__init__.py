"""Jobs: what runs outside the requests."""
