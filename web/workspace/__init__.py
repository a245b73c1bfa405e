"""The releases, hunts and tables that the server has open."""
