"""Labels and notes."""
