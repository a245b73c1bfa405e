"""What every page shares: frame, wording, errors."""
