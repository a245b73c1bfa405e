"""One encoder, three tasks: classification, restoration, reconstruction."""
