"""The next round of each hunt, made outside the request and ahead of time."""
