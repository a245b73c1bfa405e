"""The releases that are served."""
