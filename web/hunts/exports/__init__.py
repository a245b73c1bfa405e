"""What a hunt found, as a file."""
